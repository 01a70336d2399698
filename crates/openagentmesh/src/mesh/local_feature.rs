//! The explanation of the compiler when the feature `local` is missing.

use super::builder::MeshBuilder;
use super::handle::AgentMesh;
use crate::error::Result;

/// Stands for the feature `local`, which is off. The lifetime keeps the compiler from checking the bound of
/// [`AgentMesh::local`] and [`MeshBuilder::local`] before the function is used.
#[doc(hidden)]
#[derive(Debug)]
pub struct LocalFeature<'a>(std::marker::PhantomData<&'a ()>);

/// Implemented for features that are on.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`local()` needs the feature `local` of the crate `openagentmesh`",
    label = "the feature `local` is off",
    note = "add it for tests with `cargo add --dev openagentmesh --features local`, \
            or for the program with `cargo add openagentmesh --features local`"
)]
pub trait Enabled {}

impl AgentMesh {
    /// Needs the feature `local`: starts a mesh of this process's own, for tests and demos, and connects to it.
    ///
    /// ```sh
    /// cargo add --dev openagentmesh --features local
    /// ```
    ///
    /// # Errors
    ///
    /// Without the feature, a program that calls the function does not compile.
    pub fn local() -> std::future::Pending<Result<Self>>
    where
        for<'a> LocalFeature<'a>: Enabled,
    {
        std::future::pending()
    }
}

impl MeshBuilder {
    /// Needs the feature `local`: starts a mesh of this process's own and connects to it with the options of this
    /// builder.
    ///
    /// # Errors
    ///
    /// Without the feature, a program that calls the function does not compile.
    pub fn local(self) -> std::future::Pending<Result<AgentMesh>>
    where
        for<'a> LocalFeature<'a>: Enabled,
    {
        std::future::pending()
    }
}
