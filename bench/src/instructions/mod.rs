//! Instruction counts of the hot paths, by callgrind, compared to the baseline of the repository. They show a
//! regression on a busy machine too.

mod baseline;
mod callgrind;
mod case;

use std::path::{Path, PathBuf};

use openagentmesh_local::LocalServer;

use crate::error::Result;
use crate::instrumented;
use crate::measure::Contender;

use baseline::{Baseline, Counts};
use callgrind::Functions;
use case::Case;

/// The options of `instructions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// Replace the baseline by the current counts, instead of comparing to it
    #[arg(long)]
    update: bool,
    /// Print the functions with most instructions in one case, instead of comparing
    #[arg(long, value_name = "CASE", conflicts_with = "update")]
    annotate: Option<Case>,
    /// With --annotate: count the bare client, with the same headers
    #[arg(long, requires = "annotate")]
    raw: bool,
}

pub(crate) async fn run(plan: &Plan) -> Result<()> {
    let valgrind = callgrind::VALGRIND.version().await?;
    let counter = Counter {
        server: LocalServer::start().await?,
        directory: instrumented::directory("instructions")?,
    };
    if let Some(case) = plan.annotate {
        let contender = match plan.raw {
            true => Contender::RawWithHeaders,
            false => Contender::Ours,
        };
        counter.annotate(case, contender).await?;
        return Ok(counter.server.stop().await?);
    }
    let mut now = Baseline::new(valgrind).await?;
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
        baseline::compare(&Baseline::read()?, &now)
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

    /// Prints the functions with most instructions, including and excluding their callees.
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
        for (order, first) in [
            ("including callees", &inclusive),
            ("excluding callees", &own),
        ] {
            println!("\n{order}\n  inclusive exclusive  function");
            let mut functions: Vec<_> = first.iter().collect();
            functions.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
            for (function, _) in functions.into_iter().take(SHOWN) {
                let of = |functions: &Functions| functions.get(function).copied().unwrap_or(0);
                println!("{:>11} {:>9}  {function}", of(&inclusive), of(&own));
            }
        }
        println!("\nfull output: {}", many.display());
        Ok(())
    }

    /// The outputs of callgrind for the short and the long run.
    async fn outputs(&self, case: Case, contender: Contender) -> Result<[PathBuf; 2]> {
        let [few, many] = case.messages();
        Ok([
            self.output(case, contender, few).await?,
            self.output(case, contender, many).await?,
        ])
    }

    async fn output(&self, case: Case, contender: Contender, messages: u32) -> Result<PathBuf> {
        let suffix = match contender {
            Contender::Ours => "",
            _ => "-raw",
        };
        let name = case.title().replace(' ', "-");
        let name = format!("callgrind.{name}{suffix}-{messages}");
        let output = Path::join(&self.directory, name);
        callgrind::run(&self.server, case, contender, messages, &output).await?;
        Ok(output)
    }
}

/// The count per message, from the difference of the long and the short run.
fn per_message(case: Case, instructions: u64) -> u64 {
    let [few, many] = case.messages();
    instructions / u64::from(many - few)
}
