//! The parts of an agent, parsed from a function or a method.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, Ident, ItemFn, Lit, Meta, PathArguments,
    Receiver, ReturnType, Signature, Type, TypeParamBound, Visibility,
};

use crate::arguments::Arguments;
use crate::inputs::parse_inputs;
use crate::syntax::{generic_types, last_ident, text};

/// A valid agent function.
pub(crate) struct AgentFunction {
    pub(crate) arguments: Arguments,
    /// An expression that converts into a `String`.
    pub(crate) description: TokenStream,
    /// The `#[cfg]` attributes.
    pub(crate) conditions: Vec<Attribute>,
    pub(crate) ident: Ident,
    /// The visibility of a method.
    pub(crate) visibility: Option<Visibility>,
    pub(crate) receiver: Option<Receiver>,
    /// Whether the first argument is a `Context`.
    pub(crate) context: bool,
    pub(crate) input: Option<Type>,
    pub(crate) output: Output,
}

/// The output of a function.
pub(crate) enum Output {
    /// No value; `Some` if the function returns a `Result<(), _>`.
    Nothing(Option<Type>),
    /// One value.
    Value(Type),
    /// A stream of values.
    Stream {
        stream: Box<Type>,
        /// The type of the items, if the function spells it out.
        item: Option<Type>,
    },
}

/// Parses a function. Also returns the item as written.
pub(crate) fn parse_function(
    arguments: TokenStream,
    item: TokenStream,
) -> syn::Result<(AgentFunction, ItemFn)> {
    let function: ItemFn = syn::parse2(item.clone()).map_err(|_| {
        syn::Error::new_spanned(
            &item,
            "unsupported item: `#[agent]` is only allowed on a function or an `impl` block; write \
             `async fn name(input: In) -> Out { … }`",
        )
    })?;
    if let Some(receiver) = function.sig.receiver() {
        return Err(syn::Error::new_spanned(
            receiver,
            "agent with `self` outside of a marked `impl` block: write `#[agent]` above the `impl` \
             block too, and register `TheType::agents(value)`",
        ));
    }
    let agent = AgentFunction::parse(syn::parse2(arguments)?, &function.attrs, &function.sig)?;
    Ok((agent, function))
}

impl AgentFunction {
    /// Parses the attributes and the signature of a function or method.
    pub(crate) fn parse(
        arguments: Arguments,
        attributes: &[Attribute],
        signature: &Signature,
    ) -> syn::Result<Self> {
        reject_generics(signature)?;
        let (context, input) = parse_inputs(signature)?;
        let output = parse_output(signature)?;
        if input.is_some()
            && let Output::Nothing(_) = &output
            && signature.asyncness.is_none()
        {
            return Err(not_async(signature));
        }
        let description = description(&arguments, attributes, signature)?;
        if let (Some(timeout), Some(shape)) = (&arguments.timeout, background(&input, &output)) {
            return Err(timeout.unsupported(shape));
        }
        Ok(Self {
            arguments,
            description,
            conditions: attributes
                .iter()
                .filter(|attribute| attribute.path().is_ident("cfg"))
                .cloned()
                .collect(),
            ident: signature.ident.clone(),
            visibility: None,
            receiver: signature.receiver().cloned(),
            context,
            input,
            output,
        })
    }
}

impl Output {
    /// The type that may be a `Result`.
    pub(crate) fn ty(&self) -> Option<&Type> {
        match self {
            Self::Nothing(ty) => ty.as_ref(),
            Self::Stream { item, .. } => item.as_ref(),
            Self::Value(ty) => Some(ty),
        }
    }

    /// Whether the output, or each item, is a `Result`.
    pub(crate) fn is_fallible(&self) -> bool {
        self.ty().is_some_and(is_result)
    }
}

/// The shape of an agent that runs while it is served.
fn background(input: &Option<Type>, output: &Output) -> Option<&'static str> {
    match output {
        Output::Nothing(_) => Some("watcher"),
        Output::Stream { .. } if input.is_none() => Some("publisher"),
        Output::Stream { .. } | Output::Value(_) => None,
    }
}

/// Whether the last segment of a type's path is `Result`.
pub(crate) fn is_result(output: &Type) -> bool {
    last_ident(output).is_some_and(|ident| ident == "Result")
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

fn reject_generics(signature: &Signature) -> syn::Result<()> {
    if signature.generics.params.is_empty() && signature.generics.where_clause.is_none() {
        return Ok(());
    }
    Err(syn::Error::new_spanned(
        &signature.generics,
        "unsupported generic parameters: the agent's contract needs one input type and one output \
         type; write concrete types",
    ))
}

fn not_async(signature: &Signature) -> syn::Error {
    let arguments = &signature.inputs;
    let output = &signature.output;
    syn::Error::new_spanned(
        signature.fn_token,
        format!(
            "agent function without `async`: write `async fn {}({}){}`",
            signature.ident,
            text(arguments),
            if output.to_token_stream().is_empty() {
                String::new()
            } else {
                format!(" {}", text(output))
            }
        ),
    )
}

/// Parses the return type. Without an input, `()` and `Result<(), _>` are no output.
fn parse_output(signature: &Signature) -> syn::Result<Output> {
    let is_async = signature.asyncness.is_some();
    let takes_nothing = signature.inputs.iter().all(|argument| match argument {
        FnArg::Receiver(_) => true,
        FnArg::Typed(typed) => last_ident(&typed.ty).is_some_and(|ident| ident == "Context"),
    });
    let output = match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) if is_unit(ty) => None,
        ReturnType::Type(_, ty) => Some(&**ty),
    };
    let Some(output) = output else {
        return match (is_async, takes_nothing) {
            (true, true) => Ok(Output::Nothing(None)),
            (true, false) => Ok(Output::Value(syn::parse_quote!(()))),
            (false, _) => Err(not_async(signature)),
        };
    };
    match (is_async, is_stream(output)) {
        (false, true) => Ok(Output::Stream {
            stream: Box::new(output.clone()),
            item: item(output),
        }),
        (false, false) => Err(not_async(signature)),
        (true, true) => Err(syn::Error::new_spanned(
            signature.asyncness,
            format!(
                "`async` on a function that returns a stream: write `fn {}({}) {}`",
                signature.ident,
                text(&signature.inputs),
                text(&signature.output)
            ),
        )),
        (true, false) if takes_nothing && is_result_of_nothing(output) => {
            Ok(Output::Nothing(Some(output.clone())))
        }
        (true, false) => Ok(Output::Value(output.clone())),
    }
}

fn is_result_of_nothing(output: &Type) -> bool {
    let Type::Path(path) = output else {
        return false;
    };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    match &last.arguments {
        PathArguments::AngleBracketed(generics) if last.ident == "Result" => {
            matches!(generics.args.first(), Some(GenericArgument::Type(ok)) if is_unit(ok))
        }
        // `Result` without arguments is an alias of unknown types.
        _ => false,
    }
}

/// Whether a type names a stream: `impl Stream<…>`, `BoxStream<…>`, `Pin<Box<dyn Stream<…>>>`.
fn is_stream(ty: &Type) -> bool {
    match ty {
        Type::ImplTrait(ty) => ty.bounds.iter().any(is_stream_bound),
        Type::TraitObject(ty) => ty.bounds.iter().any(is_stream_bound),
        Type::Path(path) => path.path.segments.iter().any(|segment| {
            segment.ident.to_string().ends_with("Stream")
                || (["Box", "Pin"].iter().any(|name| segment.ident == name)
                    && generic_types(&segment.arguments).any(is_stream))
        }),
        _ => false,
    }
}

fn is_stream_bound(bound: &TypeParamBound) -> bool {
    match bound {
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident.to_string().ends_with("Stream")),
        _ => false,
    }
}

/// The type of a stream's items, if it is spelled out.
fn item(ty: &Type) -> Option<Type> {
    match ty {
        Type::ImplTrait(ty) => ty.bounds.iter().find_map(item_of_bound),
        Type::TraitObject(ty) => ty.bounds.iter().find_map(item_of_bound),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            if last.ident.to_string().ends_with("Stream") {
                return generic_types(&last.arguments).last().cloned();
            }
            generic_types(&last.arguments).find_map(item)
        }
        _ => None,
    }
}

fn item_of_bound(bound: &TypeParamBound) -> Option<Type> {
    let TypeParamBound::Trait(bound) = bound else {
        return None;
    };
    let PathArguments::AngleBracketed(generics) = &bound.path.segments.last()?.arguments else {
        return None;
    };
    generics.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(binding) if binding.ident == "Item" => Some(binding.ty.clone()),
        _ => None,
    })
}

/// The description of an agent, an expression that converts into a `String`.
fn description(
    arguments: &Arguments,
    attributes: &[Attribute],
    signature: &Signature,
) -> syn::Result<TokenStream> {
    let missing = || {
        syn::Error::new_spanned(
            &signature.ident,
            format!(
                "agent `{name}` has no description: callers and models choose an agent by it; \
                 write a doc comment, as in `/// Describes what {name} does.`",
                name = signature.ident
            ),
        )
    };
    let is_blank = |value: &Expr| matches!(value, Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if text.value().trim().is_empty());
    if let Some(description) = &arguments.description {
        return match description {
            Expr::Lit(_) if is_blank(description) => Err(missing()),
            Expr::Lit(_) => Ok(quote!(#description)),
            constant => Ok(quote!(const { ::openagentmesh::__private::not_blank(#constant) })),
        };
    }
    let lines: Vec<&Expr> = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(meta) if meta.path.is_ident("doc") => Some(&meta.value),
            _ => None,
        })
        .collect();
    if lines.iter().all(|line| is_blank(line)) {
        return Err(missing());
    }
    // A line may be a macro such as `include_str!`, whose text is not known here.
    Ok(quote! {
        ::openagentmesh::__private::first_paragraph(
            const { ::openagentmesh::__private::not_blank(::core::concat!(#(#lines, "\n"),*)) }
        )
    })
}
