//! The code that makes the agent.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemFn, ItemImpl, Type};

use crate::ast::{AgentFunction, Gives, is_result};

/// The function as it stands, and beside it a type of the same name that knows the agent. Types
/// and functions have namespaces of their own, so `name(…)` calls the function and
/// `agents![name]` finds the type.
pub(crate) fn function(agent: &AgentFunction, function: &ItemFn) -> TokenStream {
    let visibility = &function.vis;
    let ident = &agent.ident;
    let spec = spec(agent);
    let marker = marker(agent);
    let check = check_for_hidden_result(agent);
    let handler = match &agent.gives {
        Gives::Nothing(_) => quote!(::openagentmesh::handler::Background(#ident)),
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

/// The block as it stands, and beside it a function that makes agents of its marked methods. They
/// share the value.
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
            /// an `Arc` of one that is used elsewhere too.
            pub fn agents(
                this: impl ::core::convert::Into<::openagentmesh::__private::Arc<Self>>,
            ) -> ::std::vec::Vec<::openagentmesh::Agent> {
                let this: ::openagentmesh::__private::Arc<Self> = this.into();
                ::std::vec![#(#methods),*]
            }
        }
    }
}

/// A closure that calls the method on the shared value, which it holds as long as the method runs.
fn method_handler(agent: &AgentFunction) -> TokenStream {
    let method = &agent.ident;
    let context = agent
        .context
        .then(|| quote!(context: ::openagentmesh::Context,));
    let input = agent.input.iter().map(|input| quote!(input: #input,));
    let pass_context = agent.context.then(|| quote!(context,));
    let pass_input = agent.input.iter().map(|_| quote!(input,));
    let call = match &agent.receiver {
        // A stream may borrow from the value: it is held beside it.
        Some(receiver) if receiver.reference.is_some() => {
            quote!(Self::#method(&this, #pass_context #(#pass_input)*))
        }
        Some(_) => quote!(Self::#method(this, #pass_context #(#pass_input)*)),
        None => quote!(Self::#method(#pass_context #(#pass_input)*)),
    };
    let body = match &agent.gives {
        Gives::Stream(_) => quote! {
            ::openagentmesh::__private::produced(move |items| async move {
                let _ = &this;
                items.forward(#call).await
            })
        },
        Gives::Nothing(_) | Gives::Value(_) => quote! {
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
    match &agent.gives {
        Gives::Nothing(_) => quote!(::openagentmesh::handler::Background(#closure)),
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

/// The marker settles what the types alone leave open: whether a `Result` is an output, and
/// whether nothing is one.
fn marker(agent: &AgentFunction) -> TokenStream {
    let output = match agent.gives.output() {
        Some(output) if is_result(output) => quote!(::openagentmesh::handler::Fallible),
        _ => quote!(::openagentmesh::handler::Plain),
    };
    let shape = match (&agent.gives, &agent.input) {
        (Gives::Value(_), Some(input)) => quote!(Responder<#input, #output>),
        (Gives::Value(_), None) => quote!(Trigger<#output>),
        (Gives::Stream(_), Some(input)) => quote!(Streamer<#input, #output>),
        (Gives::Stream(_), None) => quote!(Publisher<#output>),
        (Gives::Nothing(_), _) => quote!(Watcher),
    };
    let shape = quote!(::openagentmesh::handler::#shape);
    if agent.context {
        quote!(::openagentmesh::handler::WithContext<#shape>)
    } else {
        shape
    }
}

/// A `Result` under another name would be sent as it is, errors and all.
fn check_for_hidden_result(agent: &AgentFunction) -> Option<TokenStream> {
    let output = agent.gives.output().filter(|output| !is_result(output))?;
    if mentions_self(output) {
        return None;
    }
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

/// `Self` has no meaning beside the block.
fn mentions_self(output: &Type) -> bool {
    matches!(output, Type::Path(path) if path.path.segments.iter().any(|s| s.ident == "Self"))
}
