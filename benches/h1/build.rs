//! Compiles llhttp and our callbacks for it, if the feature asks for that. Also for `fuzz/differential`.

fn main() {
    #[cfg(feature = "llhttp")]
    {
        println!("cargo::rerun-if-env-changed=LLHTTP");
        println!("cargo::rerun-if-changed=src/llhttp_callbacks.c");
        let folder = std::env::var("LLHTTP").expect("LLHTTP is the folder of llhttp's C sources");
        let sources = ["llhttp.c", "http.c", "api.c"].map(|file| format!("{folder}/{file}"));
        cc::Build::new()
            .files(sources)
            .file("src/llhttp_callbacks.c")
            .include(folder)
            .warnings(false)
            .compile("llhttp_callbacks");
    }
}
