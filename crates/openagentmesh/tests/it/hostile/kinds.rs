//! The kinds of messages that the flood consists of.

use super::socket::Message;

/// A kind of messages.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The number of messages.
    pub(super) count: u64,
    /// Makes the message with a number.
    pub(super) message: fn(u64) -> Message,
}

const fn kind(name: &'static str, count: u64, message: fn(u64) -> Message) -> Kind {
    Kind {
        name,
        count,
        message,
    }
}

const INBOX: &str = "_INBOX.flood.reply";

fn to(agent: &str, body: impl Into<Vec<u8>>) -> Message {
    Message {
        subject: format!("mesh.agent.{agent}"),
        reply: INBOX.to_owned(),
        body: body.into(),
        ..Message::default()
    }
}

fn event(subject: String, body: &str) -> Message {
    Message {
        subject,
        body: body.into(),
        ..Message::default()
    }
}

impl Message {
    fn reply(mut self, reply: impl Into<String>) -> Self {
        self.reply = reply.into();
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    fn id(self, id: &str) -> Self {
        self.header("X-Mesh-Request-Id", id)
    }

    /// Makes it a request for a stream with an id of its own.
    fn stream(self, number: u64) -> Self {
        self.header("X-Mesh-Stream", "true")
            .id(&format!("{number:032x}"))
    }
}

fn one_of<'t>(texts: &[&'t str], number: u64) -> &'t str {
    texts[usize::try_from(number).unwrap() % texts.len()]
}

/// 34 kinds, 133,500 messages.
pub(super) const KINDS: &[Kind] = &[
    kind("broken JSON, with reply", 10_000, |_| {
        to("echo", "{\"text\": [1, 2,, \u{7}")
    }),
    kind("broken JSON, no reply", 10_000, |_| {
        to("list", "[\"a\",").reply("")
    }),
    kind("body is no UTF-8", 2_000, |_| {
        to("echo", *b"\"\xff\xfe\x80\"")
    }),
    kind("JSON 100,000 levels deep: any", 500, |_| {
        to("any", "[".repeat(100_000) + &"]".repeat(100_000))
    }),
    kind("JSON objects 20,000 deep: list", 500, |_| {
        to("list", "{\"a\":".repeat(20_000) + "1" + &"}".repeat(20_000))
    }),
    kind("JSON 120 deep: any", 2_000, |_| {
        to("any", "[".repeat(120) + &"]".repeat(120))
    }),
    kind("wrong type: list", 5_000, |_| to("list", "{\"a\": 1}")),
    kind("wrong ranges: restricted", 5_000, |_| {
        to("restricted", "{\"text\": \"\", \"words\": 11}")
    }),
    kind("10,000 headers", 100, |_| {
        (0..10_000).fold(to("echo", "\"a\""), |message, n| {
            message.header(&format!("X-{n}"), "1")
        })
    }),
    kind("one header of 1 MB", 100, |_| {
        to("echo", "\"a\"").header("X-Large", &"x".repeat(1_000_000))
    }),
    kind("X-Mesh-Request-Id 1,000 times", 500, |_| {
        (0..1_000).fold(to("echo", "\"a\""), |message, _| message.id("a"))
    }),
    kind("reply is its own subject", 5_000, |_| {
        to("echo", "\"a\"").reply("mesh.agent.echo")
    }),
    kind("reply is another agent", 5_000, |_| {
        to("echo", "\"a\"").reply("mesh.agent.list")
    }),
    kind("reply with wildcards", 2_000, |n| {
        to("echo", "\"a\"").reply(one_of(&["_INBOX.>", "_INBOX.*", "*", ">"], n))
    }),
    kind("reply is mesh.errors.echo", 2_000, |_| {
        to("echo", "\"a\"").reply("mesh.errors.echo")
    }),
    kind("reply has odd dots", 2_000, |n| {
        to("echo", "\"a\"").reply(one_of(&["a..b", ".a", "a.", "_INBOX..x"], n))
    }),
    kind("request ids: wildcards, dots, 10 kB", 5_000, |n| {
        let long = "x".repeat(10_000);
        to("echo", "\"a\"").id(one_of(&["*", ">", "a.b", "..", "", &long], n))
    }),
    kind("stream ids: wildcards, dots", 5_000, |n| {
        to("count", "3")
            .header("X-Mesh-Stream", "true")
            .id(one_of(&["*", ">", "a.b", "a b"], n))
    }),
    kind("timeouts: -1, 0, 1e30, 2^64-1, words", 5_000, |n| {
        let timeout = one_of(&["-1", "0", "1e30", "18446744073709551615", "soon", ""], n);
        to("echo", "\"a\"").header("X-Mesh-Timeout-Ms", timeout)
    }),
    kind("credit: -1, 0, 2^32, 2^32-1", 3_000, |n| {
        let credit = one_of(&["-1", "0", "4294967296", "4294967295"], n);
        to("count", "10")
            .stream(n)
            .header("X-Mesh-Stream-Credit", credit)
    }),
    kind("streams of 1,000,000 without credit", 300, |n| {
        to("count", "1000000").stream(1 << 32 | n)
    }),
    kind("endless streams that are not taken", 3_000, |n| {
        to("endless", "null")
            .stream(2 << 32 | n)
            .header("X-Mesh-Stream-Credit", "1")
    }),
    kind("endless streams, same id", 3_000, |_| {
        to("endless", "null")
            .stream(3 << 32)
            .header("X-Mesh-Stream-Credit", "1")
    }),
    kind("calls without a caller, with probes", 3_000, |n| {
        to("slow", "null")
            .id(&format!("{:032x}", 4_u64 << 32 | n))
            .header("X-Mesh-Probe", "true")
    }),
    kind("forged Status/Cancel/Probe/Seq/End/Source", 5_000, |_| {
        to("echo", "\"a\"")
            .header("X-Mesh-Status", "error")
            .header("X-Mesh-Cancel", "true")
            .header("X-Mesh-Probe", "maybe")
            .header("X-Mesh-Stream-Seq", "-7")
            .header("X-Mesh-Stream-End", "true")
            .header("X-Mesh-Source", "*")
    }),
    kind("late replies", 5_000, |n| {
        to("echo", "\"a\"").reply(format!("mesh.results.{:032x}", n))
    }),
    kind("late replies with 1 kB bodies", 2_000, |n| {
        to("echo", format!("\"{}\"", "x".repeat(1_000))).reply(format!("mesh.results.{:032x}", n))
    }),
    kind("wrong verb: stream a responder", 5_000, |n| {
        to("echo", "\"a\"").stream(5 << 32 | n)
    }),
    kind("requests to a publisher", 5_000, |_| to("tick", "null")),
    kind("requests to a trigger with a body of 100 kB", 500, |_| {
        to("poke", "x".repeat(100_000))
    }),
    kind("death notices, errors, health, logs", 5_000, |n| {
        let kind = one_of(&["death", "errors", "health", "logs"], n);
        event(format!("mesh.{kind}.echo"), "{\"code\": [], \"agent\": 7}")
    }),
    kind("forged events of tick", 5_000, |n| {
        event("mesh.agent.tick.events".to_owned(), "{}").header("X-Mesh-Stream-Seq", &n.to_string())
    }),
    kind("invalid traceparent", 2_000, |_| {
        to("echo", "\"a\"").header("traceparent", &"00-xyz-".repeat(700))
    }),
    kind("20,000 slow calls", 20_000, |n| {
        to("slow", "null").id(&format!("{:032x}", 6_u64 << 32 | n))
    }),
];
