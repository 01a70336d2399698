//! Generation of the code that constructs the agents.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemFn, ItemImpl, Type, Visibility};

use crate::ast::{AgentFunction, Output, is_result};
use crate::typed;

/// The unchanged function, plus a type of the same name that constructs the agent. Types and
/// functions have separate namespaces, so `name(…)` calls the function and `agents![name]` refers to
/// the type.
pub(crate) fn function(agent: &AgentFunction, function: &ItemFn) -> TokenStream {
    let visibility = &function.vis;
    let ident = &agent.ident;
    let conditions = &agent.conditions;
    let spec = spec(agent);
    let marker = marker(agent);
    let check = check_for_hidden_result(agent);
    let name = typed::full_name(agent);
    let doc = format!("Agent `{name}`: listed by `agents!`, and called by its types.");
    let calls = typed::calls(agent, visibility, None);
    let handler = if agent.output.is_fallible() {
        let (parameters, arguments) = (parameters(agent), arguments(agent));
        let body = match &agent.output {
            Output::Stream { .. } => with_codes_of_items(&quote!(#ident(#arguments))),
            Output::Nothing(_) | Output::Value(_) => {
                let output = with_code(&quote!(#ident(#arguments).await));
                quote!(async move { #output })
            }
        };
        // The span of the name, for errors of the types.
        let span = ident.span().resolved_at(Span::call_site());
        quote_spanned!(span=> move |#parameters| #body)
    } else {
        quote!(#ident)
    };
    let handler = match &agent.output {
        Output::Nothing(_) => quote!(::openagentmesh::handler::Background(#handler)),
        _ => handler,
    };
    quote! {
        #function

        #(#conditions)*
        #check

        #(#conditions)*
        #[doc = #doc]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #ident {}

        #(#conditions)*
        impl #ident {
            /// The agent's name.
            #[allow(dead_code)]
            #visibility const NAME: &'static str = #name;

            #(#calls)*
        }

        #(#conditions)*
        impl ::openagentmesh::__private::AgentFn for #ident {
            fn agent() -> ::openagentmesh::Agent {
                #spec.handler::<#marker>(#handler)
            }
        }
    }
}

/// The unchanged block, plus a function `agents` that constructs the agents of its marked methods, and
/// typed calls of them. The agents share the value.
pub(crate) fn block(agents: &[AgentFunction], block: &ItemImpl) -> TokenStream {
    let this = &block.self_ty;
    let checks = agents.iter().map(|agent| {
        let conditions = &agent.conditions;
        let check = check_for_hidden_result(agent)?;
        Some(quote!(#(#conditions)* #check))
    });
    let methods = agents.iter().map(|agent| {
        let conditions = &agent.conditions;
        let spec = spec(agent);
        let marker = marker(agent);
        let handler = method_handler(agent);
        quote! {
            #(#conditions)*
            agents.push(#spec.handler::<#marker>({
                let this = ::openagentmesh::__private::Arc::clone(&this);
                #handler
            }));
        }
    });
    let calls = agents.iter().flat_map(|agent| {
        let visibility = agent.visibility.as_ref().unwrap_or(&Visibility::Inherited);
        typed::calls(agent, visibility, Some(&agent.ident))
    });
    quote! {
        #block

        #(#checks)*

        impl #this {
            /// The agents of this value, for `AgentMesh::serve` and `AgentMesh::register`. They share it:
            /// pass a value, or an `Arc` of a value that is also used elsewhere.
            #[allow(unused_mut)]
            pub fn agents(
                this: impl ::core::convert::Into<::openagentmesh::__private::Arc<Self>>,
            ) -> ::std::vec::Vec<::openagentmesh::Agent> {
                let this: ::openagentmesh::__private::Arc<Self> = this.into();
                let mut agents = ::std::vec::Vec::new();
                #(#methods)*
                agents
            }

            #(#calls)*
        }
    }
}

/// The parameters of a handler.
fn parameters(agent: &AgentFunction) -> TokenStream {
    let context = agent
        .context
        .then(|| quote!(context: ::openagentmesh::Context,));
    let input = agent.input.iter().map(|input| quote!(input: #input,));
    quote!(#context #(#input)*)
}

/// The arguments that a handler passes on.
fn arguments(agent: &AgentFunction) -> TokenStream {
    let context = agent.context.then(|| quote!(context,));
    let input = agent.input.iter().map(|_| quote!(input,));
    quote!(#context #(#input)*)
}

/// A closure that calls the method on the shared value, and owns the value while the method runs.
fn method_handler(agent: &AgentFunction) -> TokenStream {
    let method = &agent.ident;
    let (parameters, arguments) = (parameters(agent), arguments(agent));
    let call = match &agent.receiver {
        // The stream may borrow from the value, so the generated future owns both.
        Some(receiver) if receiver.reference.is_some() => {
            quote!(Self::#method(&this, #arguments))
        }
        Some(_) => quote!(Self::#method(this, #arguments)),
        None => quote!(Self::#method(#arguments)),
    };
    let is_fallible = agent.output.is_fallible();
    let body = match &agent.output {
        Output::Stream { .. } => {
            let stream = if is_fallible {
                with_codes_of_items(&call)
            } else {
                call
            };
            quote! {
                ::openagentmesh::__private::produced(move |items| async move {
                    let _ = &this;
                    items.forward(#stream).await
                })
            }
        }
        Output::Nothing(_) | Output::Value(_) => {
            let output = quote!(#call.await);
            let output = if is_fallible {
                with_code(&output)
            } else {
                output
            };
            quote! {
                async move {
                    let _ = &this;
                    #output
                }
            }
        }
    };
    let span = method.span().resolved_at(Span::call_site());
    let closure = quote_spanned! {span=>
        move |#parameters| {
            let this = ::openagentmesh::__private::Arc::clone(&this);
            #body
        }
    };
    match &agent.output {
        Output::Nothing(_) => quote!(::openagentmesh::handler::Background(#closure)),
        _ => closure,
    }
}

/// A `Result` whose error is converted into the SDK's error, if its type can be: so its code reaches the
/// caller. The method of the trait keeps other errors; the method of the type takes precedence over it.
fn with_code(result: &TokenStream) -> TokenStream {
    quote!({
        #[allow(unused_imports)]
        use ::openagentmesh::__private::KeepError as _;
        #result.map_err(|error| ::openagentmesh::__private::HandlerError(error).with_code())
    })
}

/// A stream of `Result`s, converted as by [`with_code`].
fn with_codes_of_items(stream: &TokenStream) -> TokenStream {
    let item = with_code(&quote!(item));
    quote!(::openagentmesh::futures::StreamExt::map(#stream, |item| #item))
}

fn spec(agent: &AgentFunction) -> TokenStream {
    let arguments = &agent.arguments;
    let description = &agent.description;
    let name = typed::full_name(agent);
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
    let timeout = arguments.timeout.iter().map(|timeout| {
        let duration = &timeout.duration;
        quote!(.timeout(#duration))
    });
    let idempotent = arguments.idempotent.then(|| quote!(.idempotent()));
    quote! {
        ::openagentmesh::AgentSpec::new(#name, #description)
            #(#version)* #(#tags)* #(#concurrency)* #(#queue)* #(#timeout)* #idempotent
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
        (Output::Stream { .. }, Some(input)) => quote!(Streamer<#input, #output>),
        (Output::Stream { .. }, None) => quote!(Publisher<#output>),
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
