//! What an agent is made of, read from a function.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Expr, ExprLit, FnArg, ItemFn, Lit, Meta, Pat, ReturnType, Signature, Type,
    TypeReference,
};

use crate::arguments::Arguments;

/// A function that can be an agent.
pub(crate) struct AgentFunction {
    pub(crate) arguments: Arguments,
    pub(crate) description: String,
    pub(crate) function: ItemFn,
    pub(crate) input: Option<Type>,
    /// The type after the arrow; `None` where there is no arrow.
    pub(crate) output: Option<Type>,
}

impl AgentFunction {
    pub(crate) fn parse(arguments: TokenStream, item: TokenStream) -> syn::Result<Self> {
        let function: ItemFn = syn::parse2(item.clone()).map_err(|_| {
            syn::Error::new_spanned(
                &item,
                "`#[agent]` stands on a function: write `async fn name(input: In) -> Out { … }`",
            )
        })?;
        let arguments: Arguments = syn::parse2(arguments)?;
        let signature = &function.sig;
        refuse_generics(signature)?;
        let input = parse_input(signature)?;
        let output = parse_output(&signature.output);
        require_async(signature, output.as_ref())?;
        if input.is_none() && output.is_none() {
            return Err(syn::Error::new_spanned(
                signature,
                "this function takes nothing and gives nothing, so there is nothing to call: \
                 give it an output, as in `async fn name() -> String`, or an input",
            ));
        }
        let description = match &arguments.description {
            Some(description) => description.value(),
            None => first_paragraph(&function.attrs),
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
            input,
            output,
            function,
        })
    }

    /// Whether the output is spelled as a `Result`.
    pub(crate) fn is_fallible(&self) -> bool {
        match &self.output {
            Some(Type::Path(path)) => path
                .path
                .segments
                .last()
                .is_some_and(|segment| segment.ident == "Result"),
            _ => false,
        }
    }
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

fn require_async(signature: &Signature, output: Option<&Type>) -> syn::Result<()> {
    if signature.asyncness.is_some() {
        return Ok(());
    }
    if let Some(Type::ImplTrait(stream)) = output {
        return Err(syn::Error::new_spanned(
            stream,
            "agents that give a stream are not served by this version: \
             write an `async fn` that returns all of it, as in `-> Vec<Item>`",
        ));
    }
    let arguments = &signature.inputs;
    let output = &signature.output;
    Err(syn::Error::new_spanned(
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
    ))
}

fn parse_input(signature: &Signature) -> syn::Result<Option<Type>> {
    let mut inputs = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Typed(typed) => inputs.push(typed),
            FnArg::Receiver(receiver) => {
                return Err(syn::Error::new_spanned(
                    receiver,
                    "an agent is a function without `self`: move what it needs into a closure, as \
                     in `AgentSpec::new(name, description).handler(move |input: In| …)`",
                ));
            }
        }
    }
    match inputs.as_slice() {
        [] => Ok(None),
        [one] => {
            refuse_borrow(&one.ty)?;
            Ok(Some((*one.ty).clone()))
        }
        several => {
            let fields: Vec<String> = several
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
            Err(syn::Error::new_spanned(
                &signature.inputs,
                format!(
                    "an agent takes one input: write `#[derive(serde::Deserialize, \
                     schemars::JsonSchema)] struct Input {{ {} }}` and take `input: Input`",
                    fields.join(", ")
                ),
            ))
        }
    }
}

fn refuse_borrow(input: &Type) -> syn::Result<()> {
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
        _ => Ok(()),
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

/// `()` after the arrow is the same as no arrow.
fn parse_output(output: &ReturnType) -> Option<Type> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => match &**ty {
            Type::Tuple(tuple) if tuple.elems.is_empty() => None,
            other => Some(other.clone()),
        },
    }
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
