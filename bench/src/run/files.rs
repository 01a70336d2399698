//! Content that one process puts and another gets.

use std::io::{Read, Write};
use std::path::Path;

use openagentmesh_local::LocalServer;

use super::measured::{JOB_TIMEOUT, Measured};
use super::runner::Runner;
use crate::error::Result;
use crate::measure::{Contender, Done, Job};
use crate::roles::noise;

const MEBIBYTE: usize = 1024 * 1024;

impl Runner {
    /// Content in memory.
    pub(super) async fn content(&self, contender: Contender, mebibytes: u32) -> Result<Measured> {
        let bytes = mebibytes as usize * MEBIBYTE;
        let name = "content".to_owned();
        let put = Job::Put {
            name: name.clone(),
            bytes,
        };
        let done = self.transfer(contender, put, Job::Get { name, bytes });
        let rates = done.await?.map(|done| rate(mebibytes, &done));
        Ok(Measured::new(mebibytes, rates))
    }

    /// Content from one file to another.
    pub(super) async fn file(&self, contender: Contender, mebibytes: u32) -> Result<Measured> {
        let directory = tempfile::tempdir()?;
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        write(&from, mebibytes)?;
        let name = "large".to_owned();
        let put = Job::PutFile {
            name: name.clone(),
            path: from.clone(),
        };
        let get = Job::GetFile {
            name,
            path: to.clone(),
        };
        let done = self.transfer(contender, put, get).await?;
        if !is_same(&from, &to)? {
            return Err("the file differs after the transfer".into());
        }
        let values = done.iter().flat_map(|done| {
            let memory = done.peak_kibibytes.map(|peak| peak as f64 / 1024.0);
            [Some(rate(mebibytes, done)), memory]
        });
        Ok(Measured {
            count: mebibytes,
            values: values.collect(),
        })
    }

    /// Runs both jobs on an empty server.
    async fn transfer(&self, contender: Contender, put: Job, get: Job) -> Result<[Done; 2]> {
        let server = LocalServer::start().await?;
        let work = async |job: &Job| -> Result<Done> {
            let mut worker = self.worker(contender, server.url()).await?;
            let done = worker.ask(job, JOB_TIMEOUT).await?;
            worker.end(JOB_TIMEOUT).await?;
            Ok(done)
        };
        let done = [work(&put).await?, work(&get).await?];
        server.stop().await?;
        Ok(done)
    }
}

fn rate(mebibytes: u32, done: &Done) -> f64 {
    f64::from(mebibytes) / done.seconds
}

fn write(path: &Path, mebibytes: u32) -> Result<()> {
    let mut piece = noise(MEBIBYTE).to_vec();
    let mut file = std::fs::File::create(path)?;
    for index in 0..mebibytes {
        // No two pieces are equal.
        piece[..4].copy_from_slice(&index.to_le_bytes());
        file.write_all(&piece)?;
    }
    Ok(file.sync_all()?)
}

fn is_same(one: &Path, other: &Path) -> Result<bool> {
    let (mut one, mut other) = (std::fs::File::open(one)?, std::fs::File::open(other)?);
    let length = one.metadata()?.len();
    if length != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; MEBIBYTE], vec![0; MEBIBYTE]);
    for _ in 0..length / MEBIBYTE as u64 {
        one.read_exact(&mut a)?;
        other.read_exact(&mut b)?;
        if a != b {
            return Ok(false);
        }
    }
    Ok(true)
}
