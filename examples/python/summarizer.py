"""An agent in Python that calls an agent in Rust, and is called by another one."""

from pydantic import BaseModel

from openagentmesh import AgentMesh, AgentSpec, MeshError


class Text(BaseModel):
    text: str


class Summary(BaseModel):
    summary: str
    words: int


mesh = AgentMesh.from_env()


@mesh.agent(AgentSpec(name="text.summarize", description="Summarises a text in three words."))
async def summarize(text: Text) -> Summary:
    try:
        words = await mesh.call("text.count", text)
    except MeshError as error:
        if error.code != "empty_text":
            raise
        return Summary(summary="nothing", words=0)
    return Summary(summary=" ".join(text.text.split()[:3]), words=words)


if __name__ == "__main__":
    mesh.run()
