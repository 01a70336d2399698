//! The list of `agents!`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Token, Type};

/// The array of the agents that `types` name. `krate` is the path of the SDK.
pub(crate) fn expand(krate: &TokenStream, types: TokenStream) -> syn::Result<TokenStream> {
    let types = Punctuated::<Type, Token![,]>::parse_terminated.parse2(types)?;
    types.iter().try_for_each(check)?;
    let types = types.iter();
    Ok(quote!([#(<#types as #krate::__private::AgentFn>::agent()),*]))
}

/// Refuses a method, which the compiler would call an ambiguous associated type.
fn check(listed: &Type) -> syn::Result<()> {
    let path = match listed {
        Type::Path(listed) => &listed.path,
        Type::Group(group) => return check(&group.elem),
        _ => return Ok(()),
    };
    let mut last = path.segments.iter().rev();
    let (Some(method), Some(owner)) = (last.next(), last.next()) else {
        return Ok(());
    };
    let (method, owner) = (&method.ident, &owner.ident);
    // Modules have lower-case names.
    if !owner.to_string().starts_with(char::is_uppercase) {
        return Ok(());
    }
    Err(syn::Error::new_spanned(
        path,
        format!(
            "`{owner}::{method}` is not a function: the agents of an `impl` block need a value; write \
             `{owner}::agents(value)`, or `(agents![f], {owner}::agents(value))` for both"
        ),
    ))
}
