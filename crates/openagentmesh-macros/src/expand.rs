//! Generation of the code that constructs the agents.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemFn, ItemImpl, Type};

use crate::ast::{AgentFunction, Output, is_result};

/// The unchanged function, plus a type of the same name that constructs the agent. Types and
/// functions have separate namespaces, so `name(…)` calls the function and `agents![name]` refers to
/// the type.
pub(crate) fn function(agent: &AgentFunction, function: &ItemFn) -> TokenStream {
    let visibility = &function.vis;
    let ident = &agent.ident;
    let spec = spec(agent);
    let marker = marker(agent);
    let check = check_for_hidden_result(agent);
    let handler = match &agent.output {
        Output::Nothing(_) => quote!(::openagentmesh::handler::Background(#ident)),
        _ => quote!(#ident),
    };
    quote! {
        #function

        #check

        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #ident {}

        impl ::openagentmesh::__private::AgentFn for #ident {
            fn agent() -> ::openagentmesh::Agent {
                #spec.handler::<#marker>(#handler)
            }
        }
    }
}

/// The unchanged block, plus a function `agents` that constructs the agents of its marked methods.
/// They share the value.
pub(crate) fn block(agents: &[AgentFunction], block: &ItemImpl) -> TokenStream {
    let (generics, _, clause) = block.generics.split_for_impl();
    let this = &block.self_ty;
    let checks = agents.iter().map(check_for_hidden_result);
    let methods = agents.iter().map(|agent| {
        let spec = spec(agent);
        let marker = marker(agent);
        let handler = method_handler(agent);
        quote!(#spec.handler::<#marker>({
            let this = ::openagentmesh::__private::Arc::clone(&this);
            #handler
        }))
    });
    quote! {
        #block

        #(#checks)*

        impl #generics #this #clause {
            /// The agents of this value, for `AgentMesh::register`. They share it: pass a value, or
            /// an `Arc` of a value that is also used elsewhere.
            pub fn agents(
                this: impl ::core::convert::Into<::openagentmesh::__private::Arc<Self>>,
            ) -> ::std::vec::Vec<::openagentmesh::Agent> {
                let this: ::openagentmesh::__private::Arc<Self> = this.into();
                ::std::vec![#(#methods),*]
            }
        }
    }
}

/// A closure that calls the method on the shared value, and owns the value while the method runs.
fn method_handler(agent: &AgentFunction) -> TokenStream {
    let method = &agent.ident;
    let context = agent
        .context
        .then(|| quote!(context: ::openagentmesh::Context,));
    let input = agent.input.iter().map(|input| quote!(input: #input,));
    let pass_context = agent.context.then(|| quote!(context,));
    let pass_input = agent.input.iter().map(|_| quote!(input,));
    let call = match &agent.receiver {
        // The stream may borrow from the value, so the generated future owns both.
        Some(receiver) if receiver.reference.is_some() => {
            quote!(Self::#method(&this, #pass_context #(#pass_input)*))
        }
        Some(_) => quote!(Self::#method(this, #pass_context #(#pass_input)*)),
        None => quote!(Self::#method(#pass_context #(#pass_input)*)),
    };
    let body = match &agent.output {
        Output::Stream(_) => quote! {
            ::openagentmesh::__private::produced(move |items| async move {
                let _ = &this;
                items.forward(#call).await
            })
        },
        Output::Nothing(_) | Output::Value(_) => quote! {
            async move {
                let _ = &this;
                #call.await
            }
        },
    };
    let closure = quote! {
        move |#context #(#input)*| {
            let this = ::openagentmesh::__private::Arc::clone(&this);
            #body
        }
    };
    match &agent.output {
        Output::Nothing(_) => quote!(::openagentmesh::handler::Background(#closure)),
        _ => closure,
    }
}

fn spec(agent: &AgentFunction) -> TokenStream {
    let arguments = &agent.arguments;
    let description = &agent.description;
    let name = match &arguments.name {
        Some(name) => quote!(#name),
        None => {
            let name = agent.ident.to_string();
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

/// The marker type, which decides what the types leave open: whether a `Result` is fallible or an
/// output, and whether a function without a return value is a responder or a watcher.
fn marker(agent: &AgentFunction) -> TokenStream {
    let output = match agent.output.ty() {
        Some(output) if is_result(output) => quote!(::openagentmesh::handler::Fallible),
        _ => quote!(::openagentmesh::handler::Plain),
    };
    let shape = match (&agent.output, &agent.input) {
        (Output::Value(_), Some(input)) => quote!(Responder<#input, #output>),
        (Output::Value(_), None) => quote!(Trigger<#output>),
        (Output::Stream(_), Some(input)) => quote!(Streamer<#input, #output>),
        (Output::Stream(_), None) => quote!(Publisher<#output>),
        (Output::Nothing(_), _) => quote!(Watcher),
    };
    let shape = quote!(::openagentmesh::handler::#shape);
    if agent.context {
        quote!(::openagentmesh::handler::WithContext<#shape>)
    } else {
        shape
    }
}

/// A compile-time check that the output is not an alias of `Result`, whose errors would be sent as
/// replies.
fn check_for_hidden_result(agent: &AgentFunction) -> Option<TokenStream> {
    let output = agent.output.ty().filter(|output| !is_result(output))?;
    if mentions_self(output) {
        return None;
    }
    Some(quote_spanned! {output.span()=>
        const _: () = {
            #[allow(unused_imports)]
            use ::openagentmesh::__private::NoResult as _;
            ::core::assert!(
                !::openagentmesh::__private::Probe::<#output>::IS_RESULT,
                "alias of `Result` as output: its errors would be sent as replies; write \
                 `Result<…>` as return type"
            );
        };
    })
}

/// Whether a type names `Self`, which is undefined outside of the `impl` block.
fn mentions_self(output: &Type) -> bool {
    matches!(output, Type::Path(path) if path.path.segments.iter().any(|s| s.ident == "Self"))
}
