//! Compiles the CUDA kernels and tells the program which commit it is built from.
//!
//! Each `kernels/*.cu` becomes an image with code for every architecture; `$OUT_DIR/kernels.rs` embeds the images, and
//! `$OUT_DIR/kernels.log` has what ptxas says of them (`scripts/kernel-resources` reads it). Images are kept in the
//! target folder under a hash of all that goes into them, whatever the profile: only what changed is compiled.
//!
//! - `NETDYN_CUDA`: `auto` (without nvcc, a program for the CPU only), `require` (that is an error), `off`.
//! - `NVCC`: this nvcc and no other. Else it is looked for: [`find_nvcc`].
//! - `NETDYN_CUDA_ARCHS`: architectures instead of [`ARCHS`], as in `80,90a`.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use std::{env, fs, thread};

/// What a file is compiled for, if it does not say `// archs: ...` near its top. Any other card from [`PORTABLE`] on
/// gets portable code, which its driver compiles.
const ARCHS: &str = "80,86,89,90a,100,120";
const PORTABLE: &str = "80";

const FLAGS: [&str; 5] = ["--fatbin", "-O3", "-std=c++17", "--fmad=false", "-Xptxas=-v"];

/// The release that `scripts/get-nvcc.sh` installs. Its warnings are errors; those of others cannot be foreseen.
const PINNED: &str = "13.0.";

/// Kernels that share their registers out anew have to begin with so many a thread, which is what their launch bounds
/// allow: those who ask for more would wait for ever.
const SHARED_OUT: &str = "Used 168 registers";

/// Variables that nvcc itself reads.
const NVCC_VARIABLES: [&str; 3] = ["NVCC_CCBIN", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"];

/// Images that no build asked for since then are removed.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

fn main() {
    commit();
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=kernels");
    let ours = ["NETDYN_CUDA", "NETDYN_CUDA_ARCHS", "NVCC", "CUDA_HOME", "CUDA_PATH"];
    for name in ours.into_iter().chain(NVCC_VARIABLES) {
        println!("cargo:rerun-if-env-changed={name}");
    }
    fs::write(out_dir().join("kernels.log"), "").unwrap();
    let mode = variable("NETDYN_CUDA").unwrap_or("auto".into());
    let built = match mode.as_str() {
        "off" => Err("it was built with NETDYN_CUDA=off; build again without it"),
        "auto" | "require" => match find_nvcc() {
            Some(nvcc) => Ok(compile_all(&Nvcc::new(nvcc))),
            None if mode == "auto" => {
                let what = "no nvcc found, so this build runs on the CPU only";
                println!(
                    "cargo:warning={what}: scripts/get-nvcc.sh installs one, NETDYN_CUDA=off silences this"
                );
                Err("no nvcc was found when it was built; scripts/get-nvcc.sh installs one, then build again")
            }
            None => fail(
                "NETDYN_CUDA=require, but there is no nvcc: neither NVCC, CUDA_HOME nor CUDA_PATH is set, and PATH, \
                 /usr/local/cuda, the Python environment and .cuda have none; scripts/get-nvcc.sh installs one",
            ),
        },
        other => fail(&format!("NETDYN_CUDA={other}: use auto, require or off")),
    };
    fs::write(out_dir().join("kernels.rs"), table(built)).unwrap();
}

/// The images, by file stem, and what they are; or why there are none.
fn table(built: Result<(Vec<String>, String), &str>) -> String {
    let (stems, about) = built.map_or_else(|why| (vec![], Err(why)), |(stems, about)| (stems, Ok(about)));
    // The driver reads images as structures; bytes alone may begin anywhere.
    let mut text = String::from("#[repr(C, align(64))]\n#[allow(unused)]\n");
    text += "struct Aligned<const N: usize>([u8; N]);\npub static KERNELS: &[(&str, &[u8])] = &[\n";
    for stem in stems {
        let image = format!("concat!(env!(\"OUT_DIR\"), \"/{stem}.fatbin\")");
        writeln!(text, "    ({stem:?}, &Aligned(*include_bytes!({image})).0),").unwrap();
    }
    writeln!(text, "];\npub const ABOUT: Result<&str, &str> = {about:?};").unwrap();
    text
}

/// The first nvcc of: `NVCC`, `CUDA_HOME`, `CUDA_PATH`, `PATH`, the usual folder, the active Python environment, and
/// `.cuda`, where `scripts/get-nvcc.sh` puts one.
fn find_nvcc() -> Option<PathBuf> {
    if let Some(nvcc) = variable("NVCC") {
        if !Path::new(&nvcc).is_file() {
            fail(&format!("NVCC={nvcc}: no such file"));
        }
        return Some(nvcc.into());
    }
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(variable);
    let mut folders: Vec<_> = homes.map(|home| Path::new(&home).join("bin")).collect();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    folders.push("/usr/local/cuda/bin".into());
    let libraries = variable("VIRTUAL_ENV").and_then(|root| fs::read_dir(Path::new(&root).join("lib")).ok());
    let pythons = libraries.into_iter().flatten().flatten().map(|entry| entry.path());
    folders.extend(pythons.map(|python| python.join("site-packages/nvidia/cu13/bin")));
    folders.push(Path::new(&variable("CARGO_MANIFEST_DIR").unwrap()).join(".cuda/nvidia/cu13/bin"));
    let name = format!("nvcc{}", env::consts::EXE_SUFFIX);
    let found = folders.iter().map(|folder| folder.join(&name)).find(|nvcc| nvcc.is_file());
    if found.is_none() {
        // PATH differs between a shell and an editor: as long as there is a compiler, that shall not matter.
        println!("cargo:rerun-if-env-changed=PATH");
        println!("cargo:rerun-if-env-changed=VIRTUAL_ENV");
    }
    found
}

struct Nvcc {
    path: PathBuf,
    /// As in 13.0.88.
    version: String,
}

impl Nvcc {
    fn new(path: PathBuf) -> Nvcc {
        println!("cargo:rerun-if-changed={}", path.display());
        let said = Command::new(&path).arg("--version").output();
        let said = said.unwrap_or_else(|error| fail(&format!("{} does not run: {error}", path.display())));
        let text = String::from_utf8_lossy(&said.stdout);
        let version = text.split_once(", V").and_then(|(_, rest)| rest.split_whitespace().next());
        match version {
            Some(version) => Nvcc { version: version.to_owned(), path },
            None => fail(&format!("{} --version names no version:\n{text}", path.display())),
        }
    }
}

/// Compiles what changed, as many files at a time as cargo allows. Returns file stems, and what they are compiled for.
fn compile_all(nvcc: &Nvcc) -> (Vec<String>, String) {
    let cache = cache_dir();
    let archs = variable("NETDYN_CUDA_ARCHS").unwrap_or(ARCHS.into()).replace(' ', "");
    let files = fs::read_dir("kernels").unwrap().map(|entry| entry.unwrap().path());
    let sources = files.filter(|file| file.extension().is_some_and(|extension| extension == "cu"));
    let mut kernels: Vec<_> = sources.filter_map(|file| Kernel::new(file, &archs, nvcc)).collect();
    // The longest first, so that none begins when the others are done.
    kernels.sort_by_key(|kernel| std::cmp::Reverse(fs::metadata(&kernel.file).unwrap().len()));
    let (next, errors) = (AtomicUsize::new(0), Mutex::new(String::new()));
    let work = || {
        while let Some(kernel) = kernels.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = kernel.compile(nvcc, &cache) {
                *errors.lock().unwrap() += &format!("{}: {error}\n", kernel.file.display());
            }
        }
    };
    let jobs = variable("NUM_JOBS").and_then(|jobs| jobs.parse().ok()).unwrap_or(1);
    thread::scope(|scope| (0..jobs).for_each(|_| _ = scope.spawn(work)));
    let errors = errors.into_inner().unwrap();
    if !errors.is_empty() {
        fail(&format!("{errors}NETDYN_CUDA=off builds without kernels"));
    }
    kernels.sort_by(|a, b| a.stem.cmp(&b.stem));
    let mut log = format!("nvcc {} {}\n", nvcc.version, nvcc.path.display());
    for kernel in &kernels {
        fs::copy(cache.join(&kernel.image), out_dir().join(&kernel.stem).with_extension("fatbin")).unwrap();
        let said = fs::read_to_string(cache.join(&kernel.image).with_extension("log")).unwrap();
        write!(log, "file {}\n{said}", kernel.stem).unwrap();
    }
    fs::write(out_dir().join("kernels.log"), log).unwrap();
    let targets = archs.split(',').map(|arch| format!("sm_{arch}")).collect::<Vec<_>>().join(", ");
    let about = format!("for {targets}, portable from sm_{PORTABLE} on; nvcc {}", nvcc.version);
    (kernels.into_iter().map(|kernel| kernel.stem).collect(), about)
}

/// A kernel file and how it is compiled.
struct Kernel {
    file: PathBuf,
    stem: String,
    flags: Vec<String>,
    /// Name of its image in the cache.
    image: String,
}

impl Kernel {
    /// None if the file is for none of `archs`.
    fn new(file: PathBuf, archs: &str, nvcc: &Nvcc) -> Option<Kernel> {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let only = text.lines().take(5).find_map(|line| line.strip_prefix("// archs:"));
        let only = only.map(|archs| archs.split(',').map(str::trim).collect::<Vec<_>>());
        let wanted = archs.split(',');
        let wanted = wanted.filter(|arch| only.as_ref().is_none_or(|only| only.contains(arch)));
        let mut targets: Vec<_> =
            wanted.map(|arch| format!("-gencode=arch=compute_{arch},code=sm_{arch}")).collect();
        if targets.is_empty() {
            return None;
        }
        if only.is_none() {
            targets.push(format!("-gencode=arch=compute_{PORTABLE},code=compute_{PORTABLE}"));
        }
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
        if nvcc.version.starts_with(PINNED) {
            flags.push("-Werror=all-warnings".into());
            if !may_spill(&stem) {
                flags.push("-Xptxas=-warn-spills,-warn-lmem-usage,--warning-as-error".into());
            }
        }
        flags.extend(targets);
        let mut hasher = DefaultHasher::new();
        (&flags, &nvcc.version, NVCC_VARIABLES.map(variable)).hash(&mut hasher);
        with_headers(&file).hash(&mut hasher);
        Some(Kernel { image: format!("{stem}-{:016x}.fatbin", hasher.finish()), file, stem, flags })
    }

    /// Makes the image in `cache` if it is not there.
    fn compile(&self, nvcc: &Nvcc, cache: &Path) -> Result<(), String> {
        let (image, log) = (cache.join(&self.image), cache.join(&self.image).with_extension("log"));
        let touch = |file| fs::File::options().append(true).open(file)?.set_modified(SystemTime::now());
        if touch(&log).and_then(|()| touch(&image)).is_ok() {
            return Ok(());
        }
        // Renamed when it is whole: another build may look for it.
        let partial = image.with_extension(std::process::id().to_string());
        let done =
            Command::new(&nvcc.path).args(&self.flags).arg(&self.file).arg("-o").arg(&partial).output();
        let done = done.map_err(|error| format!("{} does not run: {error}", nvcc.path.display()))?;
        let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
        // Remarks C75.. are of wgmma code that is right but slow: what should overlap does not.
        let telling = |line: &&str| {
            line.contains("(C75") || !(line.starts_with("ptxas info") || line.contains("bytes stack frame"))
        };
        if !done.status.success() || said.contains("(C75") {
            let words = said.lines().filter(telling).collect::<Vec<_>>().join("\n");
            let lacks = ["host compiler", "cc1plus", "gcc: No such"].iter().any(|sign| said.contains(sign));
            let hint = if lacks { "\nnvcc needs a host g++ (Debian: apt-get install g++)" } else { "" };
            return Err(format!("nvcc failed\n{words}{hint}"));
        }
        let shares_out = with_headers(&self.file).iter().any(|(_, text)| text.contains("setmaxnreg"));
        let begins_otherwise = |line: &str| line.contains("Used ") && !line.contains(SHARED_OUT);
        if let Some(line) = said.lines().filter(|_| shares_out).find(|line| begins_otherwise(line)) {
            return Err(format!(
                "nvcc {} gives a kernel other registers than it must have: {line}",
                nvcc.version
            ));
        }
        for warning in said.lines().filter(|line| line.contains("warning")) {
            println!("cargo:warning={}: {warning}", self.file.display());
        }
        fs::write(log, &*said).unwrap();
        fs::rename(partial, image).map_err(|error| error.to_string())
    }
}

/// Whether `kernels/resources.txt` records that a kernel of the file spills or uses local memory.
fn may_spill(stem: &str) -> bool {
    let table = fs::read_to_string("kernels/resources.txt").unwrap_or_default();
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.any(|row| row.first() == Some(&stem) && row.len() >= 7 && row[5..7] != ["0", "0"])
}

/// A source and the headers of ours that it includes, with their texts.
fn with_headers(file: &Path) -> Vec<(PathBuf, String)> {
    let mut found = vec![(file.to_owned(), fs::read_to_string(file).unwrap())];
    let mut next = 0;
    while let Some((_, text)) = found.get(next) {
        let names =
            text.lines().filter_map(|line| line.trim().strip_prefix("#include \"")?.split('"').next());
        let headers: Vec<_> = names.map(|name| Path::new("kernels").join(name)).collect();
        for header in headers {
            if !found.iter().any(|(known, _)| *known == header) {
                let text = fs::read_to_string(&header).unwrap_or_default(); // nvcc will say that it is missing
                found.push((header, text));
            }
        }
        next += 1;
    }
    found
}

/// Where images are kept: in the target folder, which cargo marks, or else with the build.
fn cache_dir() -> PathBuf {
    let out = out_dir();
    let target = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()).unwrap_or(&out);
    let cache = target.join("kernels");
    fs::create_dir_all(&cache).unwrap();
    for entry in fs::read_dir(&cache).unwrap().flatten() {
        let used = entry.metadata().and_then(|about| about.modified());
        if used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > KEPT)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    cache
}

fn out_dir() -> PathBuf {
    env::var_os("OUT_DIR").unwrap().into()
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    exit(1)
}

fn commit() {
    // A path that is not there would make cargo run this every time.
    let log = Path::new(".git/logs/HEAD");
    println!("cargo:rerun-if-changed={}", if log.exists() { ".git/logs/HEAD" } else { "build.rs" });
    let head = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    if let Some(head) = head.ok().filter(|head| head.status.success()) {
        println!("cargo:rustc-env=NETDYN_COMMIT={}", String::from_utf8_lossy(&head.stdout).trim());
    }
}
