//! Reading types and tokens.

use quote::ToTokens;
use syn::{GenericArgument, Ident, PathArguments, Type};

/// The last segment of a type's path.
pub(crate) fn last_ident(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => Some(&path.path.segments.last()?.ident),
        _ => None,
    }
}

/// The types among the arguments of a path's segment.
pub(crate) fn generic_types(arguments: &PathArguments) -> impl Iterator<Item = &Type> {
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

/// Tokens as source text, roughly formatted.
pub(crate) fn text(tokens: &impl ToTokens) -> String {
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
