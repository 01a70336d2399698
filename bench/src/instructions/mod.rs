//! How many instructions the hot paths take, counted by callgrind and compared to what the repository keeps.
//! A regression shows in them though the machine is busy.

mod callgrind;
mod kept;

use std::path::{Path, PathBuf};

use openagentmesh_local::LocalServer;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::measure::{Contender, Measure};
use crate::roles::Role;
use crate::watched;

use callgrind::Functions;
use kept::{Counts, Kept};

/// What is counted, for each message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// A call, by who makes it.
    Call,
    /// The same, by who serves it.
    Dispatch,
    /// A chunk of a stream, by who sends it.
    Chunk,
    /// The same, by who takes it.
    ChunkReceived,
    /// An event, by who publishes it.
    Event,
    /// The same, by who has subscribed.
    EventReceived,
}

impl Case {
    const ALL: [Self; 6] = [
        Self::Call,
        Self::Dispatch,
        Self::Chunk,
        Self::ChunkReceived,
        Self::Event,
        Self::EventReceived,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Dispatch => "dispatch",
            Self::Chunk => "chunk",
            Self::ChunkReceived => "chunk received",
            Self::Event => "event",
            Self::EventReceived => "event received",
        }
    }

    const fn measure(self) -> Measure {
        match self {
            Self::Call | Self::Dispatch => Measure::Latency,
            Self::Chunk | Self::ChunkReceived => Measure::Chunks,
            Self::Event | Self::EventReceived => Measure::Events,
        }
    }

    /// Who counts.
    fn side(self) -> Role {
        match self {
            Self::Call | Self::ChunkReceived | Self::EventReceived => Role::Caller,
            Self::Dispatch | Self::Chunk | Self::Event => Role::Host,
        }
    }

    /// How many messages are sent, once few and once many: the difference is theirs alone, whatever the
    /// start and the end of a process take.
    const fn messages(self) -> [u32; 2] {
        match self.measure() {
            Measure::Latency => [500, 2_500],
            _ => [2_000, 10_000],
        }
    }
}

/// What the user asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// Keep what is counted now, instead of comparing to it
    #[arg(long)]
    update: bool,
    /// Print which functions take most of one case, instead of comparing
    #[arg(long, value_name = "CASE", conflicts_with = "update")]
    annotate: Option<Case>,
    /// With --annotate: of the bare client, with the same headers
    #[arg(long, requires = "annotate")]
    raw: bool,
}

pub(crate) async fn run(plan: &Plan) -> Result<()> {
    let valgrind = callgrind::VALGRIND.version().await?;
    let counter = Counter {
        server: LocalServer::start().await?,
        directory: watched::directory("instructions")?,
    };
    if let Some(case) = plan.annotate {
        let contender = match plan.raw {
            true => Contender::RawWithHeaders,
            false => Contender::Ours,
        };
        counter.annotate(case, contender).await?;
        return Ok(counter.server.stop().await?);
    }
    let mut now = Kept::new(valgrind).await?;
    for case in Case::ALL {
        eprintln!("counting: {}", case.title());
        let counts = Counts {
            ours: counter.count(case, Contender::Ours).await?,
            raw_with_headers: counter.count(case, Contender::RawWithHeaders).await?,
        };
        now.instructions.insert(case, counts);
    }
    counter.server.stop().await?;
    if plan.update {
        now.write()
    } else {
        kept::compare(&Kept::read()?, &now)
    }
}

struct Counter {
    server: LocalServer,
    directory: PathBuf,
}

impl Counter {
    /// Instructions per message.
    async fn count(&self, case: Case, contender: Contender) -> Result<u64> {
        let [few, many] = self.outputs(case, contender).await?;
        let counted = callgrind::total(&many)?.saturating_sub(callgrind::total(&few)?);
        Ok(per_message(case, counted))
    }

    /// Prints the functions that take most, with what they call and without.
    async fn annotate(&self, case: Case, contender: Contender) -> Result<()> {
        const SHOWN: usize = 40;
        let [few, many] = self.outputs(case, contender).await?;
        let counted = async |inclusive| -> Result<Functions> {
            let few = callgrind::by_function(&few, inclusive).await?;
            let mut many = callgrind::by_function(&many, inclusive).await?;
            for (function, count) in &mut many {
                let start = few.get(function).copied().unwrap_or_default();
                *count = per_message(case, count.saturating_sub(start));
            }
            Ok(many)
        };
        let (inclusive, own) = (counted(true).await?, counted(false).await?);
        println!(
            "{}, {}: instructions per message",
            case.title(),
            contender.title()
        );
        for (order, first) in [("with what they call", &inclusive), ("their own", &own)] {
            println!("\n{order}\n   with all       own  function");
            let mut functions: Vec<_> = first.iter().collect();
            functions.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
            for (function, _) in functions.into_iter().take(SHOWN) {
                let of = |functions: &Functions| functions.get(function).copied().unwrap_or(0);
                println!("{:>11} {:>9}  {function}", of(&inclusive), of(&own));
            }
        }
        println!("\nthe whole output: {}", many.display());
        Ok(())
    }

    /// What callgrind has written of few messages and of many.
    async fn outputs(&self, case: Case, contender: Contender) -> Result<[PathBuf; 2]> {
        let [few, many] = case.messages();
        Ok([
            self.output(case, contender, few).await?,
            self.output(case, contender, many).await?,
        ])
    }

    async fn output(&self, case: Case, contender: Contender, messages: u32) -> Result<PathBuf> {
        let by = match contender {
            Contender::Ours => "",
            _ => "-raw",
        };
        let name = case.title().replace(' ', "-");
        let name = format!("callgrind.{name}{by}-{messages}");
        let output = Path::join(&self.directory, name);
        callgrind::run(&self.server, case, contender, messages, &output).await?;
        Ok(output)
    }
}

/// Of what the many messages have taken and the few have not.
fn per_message(case: Case, instructions: u64) -> u64 {
    let [few, many] = case.messages();
    instructions / u64::from(many - few)
}
