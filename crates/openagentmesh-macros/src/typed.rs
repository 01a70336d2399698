//! The typed calls that a function or a block offers to callers.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::Visibility;
use syn::ext::IdentExt;

use crate::ast::{AgentFunction, Output, is_result};

/// The full name of an agent.
pub(crate) fn full_name(agent: &AgentFunction) -> String {
    let name = match &agent.arguments.name {
        Some(name) => name.value(),
        None => agent.ident.unraw().to_string(),
    };
    match &agent.arguments.channel {
        Some(channel) => format!("{}.{name}", channel.value()),
        None => name,
    }
}

/// The functions that call an agent with its types, one for each verb of its shape. Their names are the
/// verbs; those of a method end in its name.
pub(crate) fn calls(
    agent: &AgentFunction,
    visibility: &Visibility,
    method: Option<&Ident>,
) -> Vec<TokenStream> {
    let reply = reply(&agent.output);
    let typed = match (&agent.output, &agent.input) {
        (Output::Value(_), _) => Some(("call", quote!(Call))),
        (Output::Stream { .. }, Some(_)) => Some(("stream", quote!(StreamRequest))),
        (Output::Stream { .. }, None) => Some(("subscribe", quote!(Subscribe))),
        (Output::Nothing(_), _) => None,
    };
    let typed = typed
        .zip(reply.as_ref())
        .map(|((verb, request), reply)| (verb, quote!(::openagentmesh::#request<#reply>)));
    let send = matches!(agent.output, Output::Value(_))
        .then(|| ("send", quote!(::openagentmesh::SendRequest)));
    let verbs = typed.into_iter().chain(send);
    let bound = reply
        .as_ref()
        .map(|reply| quote!(where for<'a> #reply: ::openagentmesh::__private::Decodable<'a>));
    let conditions = &agent.conditions;
    let name = full_name(agent);
    let verbs = verbs.map(|(verb, returned)| {
        let function = match method {
            Some(method) => format_ident!("{verb}_{}", method.unraw(), span = method.span()),
            None => format_ident!("{verb}"),
        };
        let verb_ident = format_ident!("{verb}");
        let doc = format!(
            "Agent `{name}` by its types; see [`Client::{verb}`](::openagentmesh::Client::{verb})."
        );
        let input = agent
            .input
            .iter()
            .map(|input| quote!(, input: impl ::openagentmesh::CallInput<#input>));
        let bound = bound.as_ref().filter(|_| verb != "send");
        // A subscription has no input; the input of a trigger is `()`.
        let pass = match (&agent.input, verb) {
            (Some(_), _) => quote!(, input),
            (None, "subscribe") => quote!(),
            (None, _) => quote!(, ()),
        };
        quote! {
            #(#conditions)*
            #[doc = #doc]
            #[allow(dead_code)]
            #visibility fn #function(
                mesh: &::openagentmesh::Client #(#input)*
            ) -> #returned #bound {
                mesh.#verb_ident(#name #pass)
            }
        }
    });
    verbs.collect()
}

/// The type of a reply or chunk; `None` if it cannot be named.
fn reply(output: &Output) -> Option<TokenStream> {
    let ty = match (output, output.ty()) {
        (_, Some(ty)) => quote!(#ty),
        (Output::Stream { stream, .. }, None) => {
            quote!(<#stream as ::openagentmesh::futures::Stream>::Item)
        }
        _ => return None,
    };
    if mentions_impl(&ty) {
        return None;
    }
    Some(if output.ty().is_some_and(is_result) {
        quote!(<#ty as ::openagentmesh::__private::IsResult>::Value)
    } else {
        ty
    })
}

fn mentions_impl(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(ident) => ident == "impl",
        proc_macro2::TokenTree::Group(group) => mentions_impl(&group.stream()),
        _ => false,
    })
}
