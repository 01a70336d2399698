//! `#[derive(AgentError)]`: error enums whose variants have codes.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Field, Fields, Ident, LitStr, Token};

/// The conversion of the enum or struct into the SDK's error.
pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let arms = match &input.data {
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                let ident = &variant.ident;
                arm(&quote!(Self_::#ident), &variant.attrs, &variant.fields)
            })
            .collect::<syn::Result<Vec<_>>>()?,
        Data::Struct(data) => vec![arm(&quote!(Self_), &input.attrs, &data.fields)?],
        Data::Union(_) => {
            return Err(syn::Error::new_spanned(
                &input.ident,
                "unsupported union: `AgentError` is only allowed on an enum or a struct",
            ));
        }
    };
    if arms.iter().all(|arm| !arm.has_code) {
        return Err(syn::Error::new_spanned(
            &input.ident,
            "no code: write `#[agent_error(code = \"…\")]` above each variant that callers can act on",
        ));
    }
    let arms = arms.iter().map(|arm| &arm.tokens);
    let ident = &input.ident;
    let (generics, arguments, clause) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::core::convert::From<#ident #arguments> for ::openagentmesh::Error #clause {
            fn from(error: #ident #arguments) -> Self {
                use #ident as Self_;
                match &error {
                    #(#arms)*
                }
            }
        }
    })
}

/// The arm of one variant.
struct Arm {
    tokens: TokenStream,
    has_code: bool,
}

fn arm(pattern: &TokenStream, attributes: &[Attribute], fields: &Fields) -> syn::Result<Arm> {
    let details = details(fields)?;
    let Some(code) = code(attributes)? else {
        if let Some((detail, ..)) = details.first() {
            return Err(syn::Error::new(
                detail.span(),
                "detail without a code: write `#[agent_error(code = \"…\")]` above the variant",
            ));
        }
        let tokens = quote!(#pattern { .. } => ::openagentmesh::__private::handler_error(&error),);
        return Ok(Arm {
            tokens,
            has_code: false,
        });
    };
    let bound = details.iter().map(|(field, _, binding)| {
        let member = &field.ident;
        quote!(#member: #binding)
    });
    let added = details.iter().map(
        |(_, name, binding)| quote!(.with_detail(#name, ::openagentmesh::__private::detail(#binding))),
    );
    let tokens = quote! {
        #pattern { #(#bound,)* .. } => {
            ::openagentmesh::Error::new(#code, ::std::string::ToString::to_string(&error)) #(#added)*
        }
    };
    Ok(Arm {
        tokens,
        has_code: true,
    })
}

/// The fields that are details, each with its name and that of its binding.
fn details(fields: &Fields) -> syn::Result<Vec<(&Field, String, Ident)>> {
    let mut details = Vec::new();
    for field in fields {
        for attribute in marks(&field.attrs) {
            attribute.parse_args_with(|input: ParseStream<'_>| {
                let key: Ident = input.parse()?;
                if key == "detail" {
                    return Ok(());
                }
                Err(syn::Error::new(
                    key.span(),
                    format!("unknown argument `{key}`: only `detail` is allowed on a field"),
                ))
            })?;
            let Some(name) = &field.ident else {
                return Err(syn::Error::new(
                    field.span(),
                    "detail without a name: write a named field, as in `Variant { left: u32 }`",
                ));
            };
            let binding = format_ident!("detail{}", details.len());
            details.push((field, name.unraw().to_string(), binding));
        }
    }
    Ok(details)
}

/// The code of a variant.
fn code(attributes: &[Attribute]) -> syn::Result<Option<LitStr>> {
    let mut code = None;
    for attribute in marks(attributes) {
        let literal = attribute.parse_args_with(|input: ParseStream<'_>| {
            let key: Ident = input.parse()?;
            if key != "code" {
                return Err(syn::Error::new(
                    key.span(),
                    format!(
                        "unknown argument `{key}`: only `code` is allowed; write `code = \"…\"`"
                    ),
                ));
            }
            input.parse::<Token![=]>()?;
            input.parse::<LitStr>()
        })?;
        let text = literal.value();
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if text.is_empty() || !text.chars().all(is_allowed) {
            return Err(syn::Error::new(
                literal.span(),
                format!("invalid code {text:?}: only lower-case letters, digits and _ are allowed"),
            ));
        }
        code = Some(literal);
    }
    Ok(code)
}

fn marks(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("agent_error"))
}
