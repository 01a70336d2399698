//! The code that makes the agent.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::AgentFunction;

/// The function as it stands, and beside it a type of the same name that knows the agent. Types
/// and functions have namespaces of their own, so `name(…)` calls the function and
/// `agents![name]` finds the type.
pub(crate) fn expand(agent: &AgentFunction) -> TokenStream {
    let function = &agent.function;
    let visibility = &function.vis;
    let ident = &function.sig.ident;
    let spec = spec(agent);
    let marker = marker(agent);
    let check = check_for_hidden_result(agent);
    quote! {
        #function

        #check

        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #ident {}

        impl ::openagentmesh::__private::AgentFn for #ident {
            fn agent() -> ::openagentmesh::Agent {
                #spec.handler::<#marker>(#ident)
            }
        }
    }
}

fn spec(agent: &AgentFunction) -> TokenStream {
    let arguments = &agent.arguments;
    let description = &agent.description;
    let name = match &arguments.name {
        Some(name) => quote!(#name),
        None => {
            let name = agent.function.sig.ident.to_string();
            let name = name.trim_start_matches("r#");
            quote!(#name)
        }
    };
    let channel = arguments
        .channel
        .iter()
        .map(|channel| quote!(.channel(#channel)));
    let version = arguments
        .version
        .iter()
        .map(|version| quote!(.version(#version)));
    let tags = arguments.tags.iter().map(|tag| quote!(.tag(#tag)));
    let concurrency = arguments
        .concurrency
        .iter()
        .map(|limit| quote!(.concurrency(#limit)));
    let queue = arguments.queue.iter().map(|limit| quote!(.queue(#limit)));
    quote! {
        ::openagentmesh::AgentSpec::new(#name, #description)
            #(#channel)* #(#version)* #(#tags)* #(#concurrency)* #(#queue)*
    }
}

/// The marker settles what the types alone leave open: whether a `Result` is an output.
fn marker(agent: &AgentFunction) -> TokenStream {
    let output = output_marker(agent);
    match &agent.input {
        Some(input) => quote!(::openagentmesh::handler::Responder<#input, #output>),
        None => quote!(::openagentmesh::handler::Trigger<#output>),
    }
}

fn output_marker(agent: &AgentFunction) -> TokenStream {
    if agent.is_fallible() {
        quote!(::openagentmesh::handler::Fallible)
    } else {
        quote!(::openagentmesh::handler::Plain)
    }
}

/// A `Result` under another name would be sent as it is, errors and all.
fn check_for_hidden_result(agent: &AgentFunction) -> Option<TokenStream> {
    let output = agent.output.as_ref().filter(|_| !agent.is_fallible())?;
    Some(quote_spanned! {output.span()=>
        const _: () = {
            #[allow(unused_imports)]
            use ::openagentmesh::__private::NoResult as _;
            ::core::assert!(
                !::openagentmesh::__private::Probe::<#output>::IS_RESULT,
                "this output is a `Result` under another name, so its errors would be sent as \
                 replies: write `Result<…>` itself after the arrow"
            );
        };
    })
}
