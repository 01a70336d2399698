//! What an agent is made of, read from a function or a method.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, Ident, ItemFn, Lit, Meta, Pat, PatType,
    PathArguments, Receiver, ReturnType, Signature, Type, TypeParamBound, TypeReference,
};

use crate::arguments::Arguments;

/// A function that can be an agent.
pub(crate) struct AgentFunction {
    pub(crate) arguments: Arguments,
    pub(crate) description: String,
    pub(crate) ident: Ident,
    pub(crate) receiver: Option<Receiver>,
    /// Whether a `Context` stands before the input, or alone.
    pub(crate) context: bool,
    pub(crate) input: Option<Type>,
    pub(crate) gives: Gives,
}

/// What a function gives.
pub(crate) enum Gives {
    /// Nothing, or a `Result` of it.
    Nothing(Option<Type>),
    /// One value.
    Value(Type),
    /// A stream of them; what its items are, where that can be read.
    Stream(Option<Type>),
}

/// The function of an agent, as it was written.
pub(crate) fn parse_function(
    arguments: TokenStream,
    item: TokenStream,
) -> syn::Result<(AgentFunction, ItemFn)> {
    let function: ItemFn = syn::parse2(item.clone()).map_err(|_| {
        syn::Error::new_spanned(
            &item,
            "`#[agent]` stands on a function or on an `impl` block: write \
             `async fn name(input: In) -> Out { … }`",
        )
    })?;
    if let Some(receiver) = function.sig.receiver() {
        return Err(syn::Error::new_spanned(
            receiver,
            "an agent with `self` belongs to a value: write `#[agent]` above the `impl` block too, \
             and register `TheType::agents(value)`",
        ));
    }
    let agent = AgentFunction::parse(syn::parse2(arguments)?, &function.attrs, &function.sig)?;
    Ok((agent, function))
}

impl AgentFunction {
    /// Reads a function or method from what stands before its body.
    pub(crate) fn parse(
        arguments: Arguments,
        attributes: &[Attribute],
        signature: &Signature,
    ) -> syn::Result<Self> {
        refuse_generics(signature)?;
        let (context, input) = parse_inputs(signature)?;
        let gives = parse_output(signature)?;
        if input.is_some()
            && let Gives::Nothing(_) = &gives
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
                    "agent `{name}` has no description, by which callers and models choose it: \
                     write a doc comment above it, as in `/// Says what {name} does.`",
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
            gives,
        })
    }
}

impl Gives {
    /// The type that may be a `Result`.
    pub(crate) fn output(&self) -> Option<&Type> {
        match self {
            Self::Nothing(output) | Self::Stream(output) => output.as_ref(),
            Self::Value(output) => Some(output),
        }
    }
}

/// Whether a type is spelled as a `Result`.
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

fn refuse_generics(signature: &Signature) -> syn::Result<()> {
    if signature.generics.params.is_empty() && signature.generics.where_clause.is_none() {
        return Ok(());
    }
    Err(syn::Error::new_spanned(
        &signature.generics,
        "an agent has one input type and one output type, known to its contract: \
         write concrete types instead of generic parameters",
    ))
}

fn not_async(signature: &Signature) -> syn::Error {
    let arguments = &signature.inputs;
    let output = &signature.output;
    syn::Error::new_spanned(
        signature.fn_token,
        format!(
            "an agent's function is async: write `async fn {}({}){}`",
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

/// Whether a context comes first, and the input's type.
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
                "the context comes first: write `{}, {}`",
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
            "an agent takes one input: write `#[derive(serde::Deserialize, \
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
                "an agent owns its input, which arrives from another process: write `{}` instead \
                 of `{}`",
                owned(input),
                text(input)
            ),
        )),
        Type::ImplTrait(_) => Err(syn::Error::new_spanned(
            input,
            "an agent has one input type, known to its contract: write that type",
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

/// What stands after the arrow. `()` is the same as no arrow, and so is a `Result` of it without an
/// input: nothing is given.
fn parse_output(signature: &Signature) -> syn::Result<Gives> {
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
            (true, true) => Ok(Gives::Nothing(None)),
            (true, false) => Ok(Gives::Value(syn::parse_quote!(()))),
            (false, _) => Err(not_async(signature)),
        };
    };
    match (is_async, is_stream(output)) {
        (false, true) => Ok(Gives::Stream(item(output))),
        (false, false) => Err(not_async(signature)),
        (true, true) => Err(syn::Error::new_spanned(
            signature.asyncness,
            format!(
                "a function that gives a stream is not async, its stream is: write `fn {}({}) {}`",
                signature.ident,
                text(&signature.inputs),
                text(&signature.output)
            ),
        )),
        (true, false) if takes_nothing && is_result_of_nothing(output) => {
            Ok(Gives::Nothing(Some(output.clone())))
        }
        (true, false) => Ok(Gives::Value(output.clone())),
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
        // Without arguments it is an alias that says neither.
        _ => false,
    }
}

/// Whether a type is spelled as a stream: `impl Stream<…>`, `BoxStream<…>`, `Pin<Box<dyn Stream<…>>>`.
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

/// The type of a stream's items, where it is spelled out.
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

/// Tokens as one would write them, roughly.
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
