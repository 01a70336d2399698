//! The parameters of an agent function: a context and an input.

use syn::{FnArg, Pat, PatType, PathArguments, Signature, Type, TypeReference};

use crate::syntax::{generic_types, last_ident, text};

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
    if let Some(error) = shared_state(&arguments, signature) {
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

/// The error for parameters that can only be state of the process: the input arrives from a caller.
fn shared_state(arguments: &[&PatType], signature: &Signature) -> Option<syn::Error> {
    let is_mesh = |argument: &&&PatType| last_ident(&argument.ty).is_some_and(|i| i == "AgentMesh");
    if let Some(mesh) = arguments.iter().find(is_mesh) {
        return Some(syn::Error::new_spanned(
            mesh,
            "the mesh as a parameter: callers cannot send it; take `ctx: Context` first and call other \
             agents with `ctx.mesh()`",
        ));
    }
    let is_alone = arguments.len() == 1;
    let (shared, others): (Vec<&PatType>, Vec<&PatType>) = arguments
        .iter()
        .partition(|argument| is_shared(&argument.ty, is_alone));
    let first = shared.first()?;
    let fields = shared.iter().map(|argument| {
        let name = match &*argument.pat {
            Pat::Ident(pattern) => pattern.ident.to_string(),
            _ => "state".to_owned(),
        };
        format!("{name}: {}", text(held(&argument.ty)))
    });
    let parameters = others.iter().map(text);
    let parameters = std::iter::once("&self".to_owned()).chain(parameters);
    Some(syn::Error::new_spanned(
        first,
        format!(
            "shared state as a parameter: each caller sends the input; state that requests share is a \
             field: write `struct Agents {{ {} }}` and `#[agent] impl Agents {{ #[agent] async fn {}({}) \
             … }}`, and register `Agents::agents(value)`",
            fields.collect::<Vec<_>>().join(", "),
            signature.ident,
            parameters.collect::<Vec<_>>().join(", "),
        ),
    ))
}

/// The type that a field holds instead of a reference or an extractor.
fn held(ty: &Type) -> &Type {
    match ty {
        Type::Reference(TypeReference { elem, .. }) => elem,
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if EXTRACTORS.iter().any(|name| last.ident == name) => {
                generic_types(&last.arguments).next().unwrap_or(ty)
            }
            _ => ty,
        },
        _ => ty,
    }
}

fn is_text_or_slice(ty: &Type) -> bool {
    matches!(ty, Type::Slice(_)) || last_ident(ty).is_some_and(|ident| ident == "str")
}

/// The wrappers by which web frameworks pass state.
const EXTRACTORS: [&str; 3] = ["State", "Extension", "Data"];

/// Whether a type is shared by pointer, locked, or a handle: no caller can send it. A reference that is the
/// only parameter is taken for an input.
fn is_shared(ty: &Type, is_alone: bool) -> bool {
    /// Shared with type parameters only: without them, a type of this name may be an input.
    const GENERIC: [&str; 13] = [
        "Cell",
        "LazyLock",
        "Mutex",
        "OnceCell",
        "OnceLock",
        "Pool",
        "Receiver",
        "RefCell",
        "RwLock",
        "Sender",
        "UnboundedReceiver",
        "UnboundedSender",
        "Weak",
    ];
    const POOLS: [&str; 4] = ["AnyPool", "MySqlPool", "PgPool", "SqlitePool"];
    let path = match ty {
        Type::Reference(borrowed) => return !is_alone && !is_text_or_slice(&borrowed.elem),
        Type::Path(path) => &path.path,
        _ => return false,
    };
    let Some(last) = path.segments.last() else {
        return false;
    };
    let name = last.ident.to_string();
    let is_generic = matches!(last.arguments, PathArguments::AngleBracketed(_));
    match name.as_str() {
        // Shared text and lists are values that a caller can send.
        "Arc" | "Rc" => !generic_types(&last.arguments).any(is_text_or_slice),
        name if GENERIC.contains(&name) || EXTRACTORS.contains(&name) => is_generic,
        name => POOLS.contains(&name),
    }
}
