//! Compiles the CUDA kernels and tells the program which commit it is built from.
//!
//! `$OUT_DIR/kernels.rs` gets a table `KERNELS` of file stem and image, which is empty where there is no nvcc.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    commit();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    println!("cargo:rerun-if-changed=kernels");
    println!("cargo:rerun-if-env-changed=NVCC");
    let mut table = String::from("pub static KERNELS: &[(&str, &[u8])] = &[\n");
    if let Some(nvcc) = env::var_os("NVCC") {
        let mut files: Vec<_> = fs::read_dir("kernels").unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "cu")) {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let image = out.join(format!("{stem}.fatbin"));
            let done = Command::new(&nvcc)
                .args([
                    "-O3",
                    "-std=c++17",
                    "--fmad=false",
                    "--fatbin",
                    "-gencode=arch=compute_80,code=sm_80",
                ])
                .args(["-gencode=arch=compute_90a,code=sm_90a"])
                .arg(file)
                .arg("-o")
                .arg(&image)
                .status()
                .unwrap();
            assert!(done.success(), "nvcc failed on {}", file.display());
            table += &format!("({stem:?}, include_bytes!({:?})),\n", image.display().to_string());
        }
    }
    let about: Result<&str, &str> = match env::var_os("NVCC") {
        Some(_) => Ok("for sm_80, sm_90a"),
        None => {
            Err("no nvcc was found when it was built; scripts/get-nvcc.sh installs one, then build again")
        }
    };
    table += &format!("];\npub const ABOUT: Result<&str, &str> = {about:?};\n");
    fs::write(out.join("kernels.rs"), table).unwrap();
}

fn commit() {
    // A path that is not there would make cargo run this every time.
    let log = Path::new(".git/logs/HEAD");
    println!("cargo:rerun-if-changed={}", if log.exists() { ".git/logs/HEAD" } else { "build.rs" });
    let head = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit =
        head.ok().filter(|out| out.status.success()).and_then(|out| String::from_utf8(out.stdout).ok());
    if let Some(commit) = commit {
        println!("cargo:rustc-env=NETDYN_COMMIT={}", commit.trim());
    }
}
