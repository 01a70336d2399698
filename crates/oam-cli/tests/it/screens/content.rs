//! Meshes with no entry, one, many, and entries with long and wide texts.

use std::time::Duration;

use futures::stream;
use openagentmesh::{Agent, AgentSpec, Error, agent, agents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{Sandbox, TestMesh};

/// The number of agents, of values and of files of a mesh with many.
const MANY: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// No mesh, but a directory of its own for each view.
    Alone,
    Empty,
    One,
    Many,
    Long,
    /// Agents of all shapes. The commands that change values and files run here.
    Shop,
}

impl Content {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Alone => "no mesh",
            Self::Empty => "no entry",
            Self::One => "one entry",
            Self::Many => "200 entries",
            Self::Long => "long and wide texts",
            Self::Shop => "a shop",
        }
    }
}

/// The meshes of all contents.
pub(super) struct Meshes {
    empty: TestMesh,
    one: TestMesh,
    many: TestMesh,
    long: TestMesh,
    shop: TestMesh,
}

impl Meshes {
    pub(super) async fn start() -> Self {
        let (empty, one, many, long, shop) = tokio::join!(empty(), one(), many(), long(), shop());
        Self {
            empty,
            one,
            many,
            long,
            shop,
        }
    }

    /// The mesh with the `content`; `None` for [`Content::Alone`].
    pub(super) fn of(&self, content: Content) -> Option<&TestMesh> {
        match content {
            Content::Alone => None,
            Content::Empty => Some(&self.empty),
            Content::One => Some(&self.one),
            Content::Many => Some(&self.many),
            Content::Long => Some(&self.long),
            Content::Shop => Some(&self.shop),
        }
    }

    pub(super) fn shop_url(&self) -> &str {
        &self.shop.url
    }
}

#[derive(Deserialize, JsonSchema)]
struct Article {
    /// Name of the article, as on the menu.
    #[schemars(length(min = 1))]
    item: String,
    /// Number of articles.
    #[serde(default)]
    quantity: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
struct Price {
    /// Price in cents.
    cents: u32,
}

/// Returns the price of an article on the menu.
#[agent(channel = "shop", tags = ["price", "menu"], version = "1.2.0")]
async fn price(article: Article) -> Result<Price, Error> {
    match article.item.as_str() {
        "tea" => Ok(Price {
            cents: 290 * article.quantity.unwrap_or(1),
        }),
        _ => Err(Error::new("sold_out", "the article is sold out").with_detail("retry_after", 5)),
    }
}

/// Streams the menu.
#[agent(channel = "shop")]
fn menu(_course: String) -> impl futures::Stream<Item = &'static str> {
    stream::iter(["tea", "coffee"])
}

/// Publishes each order.
#[agent(channel = "shop")]
fn orders() -> impl futures::Stream<Item = &'static str> {
    stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some(("tea", ()))
    })
}

/// Counts the visits.
#[agent(channel = "shop")]
async fn visits() -> u32 {
    7
}

/// Never ends.
#[agent(channel = "shop")]
async fn slow() -> u32 {
    std::future::pending().await
}

/// Always fails.
#[agent(channel = "shop")]
async fn broken() -> Result<u32, std::io::Error> {
    Err(std::io::Error::other("the disk is full"))
}

async fn start(agents: impl IntoIterator<Item = Agent>) -> TestMesh {
    let mesh = TestMesh::start(agents).await;
    mesh.client.create_buckets().await.unwrap();
    mesh
}

async fn empty() -> TestMesh {
    start([]).await
}

async fn one() -> TestMesh {
    let mesh = start(agents![price]).await;
    mesh.client.kv().put("limits.retries", "3").await.unwrap();
    let files = mesh.client.workspace();
    let file = files.put("reports/2026.txt", "all is well\n");
    file.content_type("text/plain").await.unwrap();
    mesh
}

async fn many() -> TestMesh {
    let agents = (0..MANY).map(|number| {
        AgentSpec::new(format!("agent{number:03}"), format!("Is agent {number}."))
            .tag("many")
            .handler(|text: String| async move { text })
    });
    let mesh = start(agents).await;
    let (kv, files) = (mesh.client.kv(), mesh.client.workspace());
    for number in 0..MANY {
        kv.put(format!("key.{number:03}"), number.to_string())
            .await
            .unwrap();
        files
            .put(format!("file{number:03}.txt"), "content")
            .await
            .unwrap();
    }
    mesh
}

async fn long() -> TestMesh {
    let name = "accounting.invoices.reconcile-with-the-statements-of-the-bank-of-last-month";
    let agents = [
        AgentSpec::new(name, "Compares each invoice with the statements of the bank, and lists the differences with their probable causes.")
            .tags(["accounting", "invoices", "bank", "month-end", "slow"])
            .handler(|text: String| async move { text }),
        AgentSpec::new("count.characters", "文章の文字数を数えて、漢字とひらがなとカタカナの割合を返すエージェント。")
            .tag("日本語")
            .handler(|text: String| async move { text }),
        AgentSpec::new("moods", "🎉🦀 Cheers e\u{301}veryone up ❤\u{fe0f} 👍🏽 🇸🇪, several times: 🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉")
            .handler(|text: String| async move { text }),
        AgentSpec::new("lines", "First line\nsecond line\tand a tab\u{1b}[31m").handler(|text: String| async move { text }),
    ];
    let mesh = start(agents).await;
    let kv = mesh.client.kv();
    kv.put("bytes", vec![0_u8, 255, 254]).await.unwrap();
    for (key, value) in [
        (
            "plan.of-the-migration-to-the-new-warehouse.step-01.owner",
            "ada",
        ),
        (
            "text",
            "The quick brown fox jumps over the lazy dog, again and again, until the end of the line is reached.",
        ),
        (
            "wide",
            "数を数えるエージェント、一つずつ出力する。数を数えるエージェント、一つずつ出力する。",
        ),
        (
            "emoji",
            "🎉🦀❤\u{fe0f}🎉🦀❤\u{fe0f}🎉🦀❤\u{fe0f}🎉🦀❤\u{fe0f}🎉🦀❤\u{fe0f}🎉🦀❤\u{fe0f}🎉🦀❤\u{fe0f}",
        ),
        ("zlast", "last"),
    ] {
        kv.put(key, value).await.unwrap();
    }
    let files = mesh.client.workspace();
    for name in [
        "報告/四半期の売上と費用の一覧 📈.txt",
        "a-report-with-a-long-name/and-a-folder/that-is-wider-than-most-terminals/final-version-2.txt",
    ] {
        files
            .put(name, "content")
            .description("The revenue and the costs of each quarter, with a comparison to the year before. 前年との比較もある。")
            .content_type("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
            .metadata("author", "Ada Lovelace, Charles Babbage and the engineers of the second workshop")
            .await
            .unwrap();
    }
    mesh
}

async fn shop() -> TestMesh {
    let mesh = start(agents![price, menu, orders, visits, slow, broken]).await;
    mesh.client
        .kv()
        .put("bytes", vec![0_u8, 255, 254])
        .await
        .unwrap();
    mesh.client.workspace().put("f", "content").await.unwrap();
    mesh
}

/// The directory in which a case runs.
pub(super) enum Directory<'m> {
    Mesh(&'m TestMesh),
    Own(Sandbox),
}

impl Directory<'_> {
    pub(super) fn sandbox(&self) -> &Sandbox {
        match self {
            Self::Mesh(mesh) => &mesh.sandbox,
            Self::Own(sandbox) => sandbox,
        }
    }
}
