//! The parts of an agent, parsed from a function or a method.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, Ident, ItemFn, Lit, Meta, Pat, PatType,
    PathArguments, Receiver, ReturnType, Signature, Type, TypeParamBound, TypeReference,
};

use crate::arguments::Arguments;

/// A valid agent function.
pub(crate) struct AgentFunction {
    pub(crate) arguments: Arguments,
    pub(crate) description: String,
    pub(crate) ident: Ident,
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
    /// A stream of values; the type of its items, if the function spells it out.
    Stream(Option<Type>),
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
        let description = match &arguments.description {
            Some(description) => description.value(),
            None => first_paragraph(attributes),
        };
        if description.trim().is_empty() {
            return Err(syn::Error::new_spanned(
                &signature.ident,
                format!(
                    "agent `{name}` has no description: callers and models choose an agent by it; \
                     write a doc comment, as in `/// Describes what {name} does.`",
                    name = signature.ident
                ),
            ));
        }
        Ok(Self {
            arguments,
            description,
            ident: signature.ident.clone(),
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
            Self::Nothing(ty) | Self::Stream(ty) => ty.as_ref(),
            Self::Value(ty) => Some(ty),
        }
    }
}

/// Whether the last segment of a type's path is `Result`.
pub(crate) fn is_result(output: &Type) -> bool {
    last_ident(output).is_some_and(|ident| ident == "Result")
}

fn last_ident(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => Some(&path.path.segments.last()?.ident),
        _ => None,
    }
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

/// Whether the first argument is a context, and the type of the input.
fn parse_inputs(signature: &Signature) -> syn::Result<(bool, Option<Type>)> {
    let arguments: Vec<&PatType> = signature
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let is_context = |argument: &PatType| last_ident(&argument.ty).is_some_and(|i| i == "Context");
    match arguments.as_slice() {
        [] => Ok((false, None)),
        [context] if is_context(context) => Ok((true, None)),
        [input] => Ok((false, Some(parse_input(input)?))),
        [context, input] if is_context(context) => Ok((true, Some(parse_input(input)?))),
        [input, context] if is_context(context) => Err(syn::Error::new_spanned(
            &signature.inputs,
            format!(
                "context after the input: write `{}, {}`",
                text(context),
                text(input)
            ),
        )),
        [first, ..] => {
            let skipped = usize::from(is_context(first));
            Err(several_inputs(signature, &arguments[skipped..]))
        }
    }
}

fn several_inputs(signature: &Signature, inputs: &[&PatType]) -> syn::Error {
    let fields: Vec<String> = inputs
        .iter()
        .enumerate()
        .map(|(index, argument)| {
            let name = match &*argument.pat {
                Pat::Ident(pattern) => pattern.ident.to_string(),
                _ => format!("field{index}"),
            };
            format!("{name}: {}", owned(&argument.ty))
        })
        .collect();
    syn::Error::new_spanned(
        &signature.inputs,
        format!(
            "too many inputs: an agent takes one; write `#[derive(serde::Deserialize, \
             schemars::JsonSchema)] struct Input {{ {} }}` and take `input: Input`",
            fields.join(", ")
        ),
    )
}

fn parse_input(argument: &PatType) -> syn::Result<Type> {
    let input = &*argument.ty;
    match input {
        Type::Reference(_) => Err(syn::Error::new_spanned(
            input,
            format!(
                "borrowed input: the input arrives from another process, so the agent must own it; \
                 write `{}` instead of `{}`",
                owned(input),
                text(input)
            ),
        )),
        Type::ImplTrait(_) => Err(syn::Error::new_spanned(
            input,
            "unsupported input `impl Trait`: the agent's contract needs one input type; write that \
             type",
        )),
        _ => Ok(input.clone()),
    }
}

/// The owned type that holds what `ty` borrows.
fn owned(ty: &Type) -> String {
    let Type::Reference(TypeReference { elem, .. }) = ty else {
        return text(ty);
    };
    match &**elem {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", text(&slice.elem)),
        other => text(other),
    }
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
        (false, true) => Ok(Output::Stream(item(output))),
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

fn generic_types(arguments: &PathArguments) -> impl Iterator<Item = &Type> {
    let generics = match arguments {
        PathArguments::AngleBracketed(generics) => Some(&generics.args),
        _ => None,
    };
    generics
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
}

fn first_paragraph(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.lines()
        .map(str::trim)
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Tokens as source text, roughly formatted.
fn text(tokens: &impl ToTokens) -> String {
    tokens
        .to_token_stream()
        .to_string()
        .replace(" :", ":")
        .replace(" ,", ",")
        .replace(":: ", "::")
        .replace(" <", "<")
        .replace("< ", "<")
        .replace(" >", ">")
        .replace("& ", "&")
        .replace(" ::", "::")
}
