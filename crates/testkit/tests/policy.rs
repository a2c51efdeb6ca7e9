//! The corpus `cases/policy`, judged by every engine: verdict, reason and rule as written.
#![allow(clippy::unwrap_used, clippy::panic)] // All of this is test code.

use std::fs;
use std::path::Path;

use portcullis_compile::image::Image;
use portcullis_core::evaluate::Evaluator;
use portcullis_core::verdict::Judge;
use portcullis_core::world::World;
use portcullis_testkit::cases::parse_case;
use portcullis_wire::world::{flow_line, read_world, verdict_line, write_world};

/// Makes the judge of a world.
type Engine = for<'w> fn(&'w World) -> Box<dyn Judge + 'w>;

/// Judges the whole corpus. The one place where cases meet code.
fn check(engine: Engine) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/policy");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "case")).collect();
    paths.sort();
    let (mut failures, mut count) = (String::new(), 0);
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy();
        let scenes = parse_case(&fs::read_to_string(&path).unwrap());
        let scenes = scenes.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!scenes.is_empty(), "{name} has no flow");
        for scene in scenes {
            // A case that no world file could hold would prove nothing.
            let file = write_world(&scene.world);
            let again = read_world(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(write_world(&again), file, "{name}");
            let mut judge = engine(&scene.world);
            for expected in scene.expectations {
                count += 1;
                let found = judge.judge(&expected.flow);
                if found.as_ref() != Ok(&expected.verdict) {
                    let found = found.map_or_else(|e| e.to_string(), |v| verdict_line(&v));
                    failures += &format!(
                        "{name}, line {}: {}\n  expected {}\n  found    {found}\n",
                        expected.line,
                        flow_line(&expected.flow),
                        verdict_line(&expected.verdict),
                    );
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(count > 200, "only {count} flows were found");
}

#[test]
fn the_reference_evaluator_judges_the_corpus() {
    check(|world| Box::new(Evaluator::new(world)));
}

#[test]
fn the_compiled_tables_judge_the_corpus() {
    check(|world| Box::new(Image::new(world).unwrap()));
}
