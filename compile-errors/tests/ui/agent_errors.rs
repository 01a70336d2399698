use openagentmesh::AgentError;

#[derive(AgentError)]
enum NoCode {
    One,
}

#[derive(AgentError)]
enum BadCode {
    #[agent_error(code = "No Such")]
    One,
}

#[derive(AgentError)]
enum OtherArgument {
    #[agent_error(status = 404)]
    One,
}

#[derive(AgentError)]
enum UnnamedDetail {
    #[agent_error(code = "one")]
    One(#[agent_error(detail)] u32),
}

#[derive(AgentError)]
enum DetailWithoutCode {
    #[agent_error(code = "one")]
    One,
    Two {
        #[agent_error(detail)]
        left: u32,
    },
}

#[derive(AgentError)]
union Union {
    one: u32,
}

fn main() {}
