//! One agent or many, as `register` and `serve` take them.

use std::marker::PhantomData;

use super::definition::Agent;

/// One agent or many: the argument of [`AgentMesh::register`](crate::AgentMesh::register) and
/// [`AgentMesh::serve`](crate::AgentMesh::serve).
///
/// An [`Agent`], an array, a `Vec`, an `Option` or an iterator of agents, and a tuple of up to eight of
/// these. `M` is a marker type that the compiler finds.
///
/// ```
/// use openagentmesh::{AgentSpec, IntoAgents, agent, agents};
///
/// /// Adds two numbers.
/// #[agent]
/// async fn add((a, b): (i64, i64)) -> i64 {
///     a + b
/// }
///
/// struct Desk;
///
/// #[agent]
/// impl Desk {
///     /// Lists the tickets.
///     #[agent]
///     async fn list(&self) -> Vec<String> {
///         Vec::new()
///     }
/// }
///
/// let double = AgentSpec::new("double", "Doubles a number.").handler(|n: i64| async move { n * 2 });
/// let all = (agents![add], Desk::agents(Desk), double).into_agents();
/// assert_eq!(all.len(), 3);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an agent nor a list of agents",
    label = "not an agent",
    note = "functions with `#[agent]` are listed by `agents![f, g]`, the agents of an `impl` block by \
            `Type::agents(value)`, and both together by a tuple: `(agents![f, g], Type::agents(value))`"
)]
pub trait IntoAgents<M> {
    /// The agents, in their order.
    fn into_agents(self) -> Vec<Agent>;
}

/// Marks one agent.
#[derive(Debug)]
pub enum One {}

/// Marks a list whose items are marked by `M`.
#[derive(Debug)]
pub struct Each<M>(PhantomData<fn() -> M>);

impl IntoAgents<One> for Agent {
    fn into_agents(self) -> Vec<Agent> {
        vec![self]
    }
}

#[diagnostic::do_not_recommend]
impl<M, I> IntoAgents<Each<M>> for I
where
    I: IntoIterator<Item: IntoAgents<M>>,
{
    fn into_agents(self) -> Vec<Agent> {
        self.into_iter().flat_map(I::Item::into_agents).collect()
    }
}

/// Implements the trait for tuples of the given length and all shorter ones.
macro_rules! tuples {
    () => {};
    ($first:ident $first_marker:ident $($other:ident $other_marker:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<$first, $first_marker, $($other, $other_marker),*>
            IntoAgents<($first_marker, $($other_marker,)*)> for ($first, $($other,)*)
        where
            $first: IntoAgents<$first_marker>,
            $($other: IntoAgents<$other_marker>,)*
        {
            fn into_agents(self) -> Vec<Agent> {
                #[allow(non_snake_case)]
                let ($first, $($other,)*) = self;
                #[allow(unused_mut)]
                let mut agents = $first.into_agents();
                $(agents.extend($other.into_agents());)*
                agents
            }
        }

        tuples!($($other $other_marker)*);
    };
}

tuples!(A MA B MB C MC D MD E ME F MF G MG H MH);
