//! The parameters of an agent function: a context and an input.

use syn::{FnArg, Pat, PatType, PathArguments, Signature, Type, TypeReference};

use crate::ast::{generic_types, last_ident, text};

/// Whether the first argument is a context, and the type of the input.
pub(crate) fn parse_inputs(signature: &Signature) -> syn::Result<(bool, Option<Type>)> {
    let arguments: Vec<&PatType> = signature
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        })
        .collect();
    if let Some(error) = arguments
        .iter()
        .find_map(|argument| shared(argument, &arguments, signature))
    {
        return Err(error);
    }
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

/// The error for a parameter that can only be state of the process: the input arrives from a caller.
fn shared(argument: &PatType, all: &[&PatType], signature: &Signature) -> Option<syn::Error> {
    let ty = &*argument.ty;
    let name = match &*argument.pat {
        Pat::Ident(pattern) => pattern.ident.to_string(),
        _ => "state".to_owned(),
    };
    if last_ident(ty).is_some_and(|ident| ident == "AgentMesh") {
        return Some(syn::Error::new_spanned(
            argument,
            "the mesh as a parameter: callers cannot send it; take `ctx: Context` first and call other \
             agents with `ctx.mesh()`",
        ));
    }
    // A borrowed input alone is explained by `parse_input`.
    let is_borrowed_state = matches!(ty, Type::Reference(borrowed) if all.len() > 1 && !is_text_or_slice(&borrowed.elem));
    if !is_shared_type(ty) && !is_borrowed_state {
        return None;
    }
    let field = match ty {
        Type::Reference(TypeReference { elem, .. }) => text(elem),
        _ => text(ty),
    };
    let others = all.iter().filter(|other| !std::ptr::eq(**other, argument));
    let others: Vec<String> = others.map(|other| text(other)).collect();
    let arguments = std::iter::once("&self".to_owned()).chain(others);
    Some(syn::Error::new_spanned(
        argument,
        format!(
            "shared state as a parameter: each caller sends the input; state that requests share is a \
             field: write `struct Agents {{ {name}: {field} }}` and `#[agent] impl Agents {{ #[agent] \
             async fn {}({}) … }}`, and register `Agents::agents(value)`",
            signature.ident,
            arguments.collect::<Vec<_>>().join(", "),
        ),
    ))
}

fn is_text_or_slice(ty: &Type) -> bool {
    matches!(ty, Type::Slice(_)) || last_ident(ty).is_some_and(|ident| ident == "str")
}

/// Whether a type is shared by pointer, locked, or a handle: no caller can send it.
fn is_shared_type(ty: &Type) -> bool {
    const LOCKS_AND_POINTERS: [&str; 9] = [
        "Mutex",
        "RwLock",
        "RefCell",
        "Cell",
        "OnceCell",
        "OnceLock",
        "LazyLock",
        "Weak",
        "Semaphore",
    ];
    const EXTRACTORS: [&str; 3] = ["State", "Extension", "Data"];
    const HANDLES: [&str; 3] = ["Pool", "Sender", "Receiver"];
    let Type::Path(path) = ty else { return false };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    let name = last.ident.to_string();
    let is_generic = matches!(last.arguments, PathArguments::AngleBracketed(_));
    match name.as_str() {
        // Shared text and lists are values that a caller can send.
        "Arc" | "Rc" => !generic_types(&last.arguments).any(is_text_or_slice),
        name if LOCKS_AND_POINTERS.contains(&name) => true,
        name if EXTRACTORS.contains(&name) => is_generic,
        name => name.starts_with("Atomic") || HANDLES.iter().any(|handle| name.ends_with(handle)),
    }
}
