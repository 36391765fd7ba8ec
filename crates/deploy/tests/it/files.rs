//! ONNX files: what is written is read back, and what is broken or hostile is refused by name.

use std::{fs, path::Path};

use hearth_deploy::{
    DeployError,
    onnx::{
        self, AttributeProto, DataType, DimensionValue, GraphProto, ModelProto, NodeProto,
        OperatorSetIdProto, StringStringEntryProto, TensorProto, ValueInfoProto,
    },
};
use prost::Message;

/// y = LayerNormalization(x W): two numbers in, three hundred out.
fn model() -> ModelProto {
    let sides =
        |width| [DimensionValue::Named("batch_size".to_owned()), DimensionValue::Fixed(width)];
    let graph = GraphProto {
        name: "small".to_owned(),
        node: vec![
            NodeProto::new("MatMul", ["x", "w"], ["xw"]),
            NodeProto::new("LayerNormalization", ["xw", "scale"], ["y"])
                .with(AttributeProto::int("axis", -1))
                .with(AttributeProto::float("epsilon", 1e-5)),
        ],
        initializer: vec![
            TensorProto::floats("w", &[2, 300], &[0.5; 600]),
            TensorProto::floats("scale", &[300], &[1.0; 300]),
            TensorProto::ints("unused", &[2], &[-1, i64::MAX]),
        ],
        input: vec![ValueInfoProto::tensor("x", DataType::Float, sides(2))],
        output: vec![ValueInfoProto::tensor("y", DataType::Float, sides(300))],
        value_info: Vec::new(),
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        producer_name: "hearth".to_owned(),
        metadata_props: vec![StringStringEntryProto::new("model.type", "ViT-B-32")],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

#[test]
fn a_model_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    onnx::write(&model(), &path).unwrap();
    assert_eq!(onnx::read(&path).unwrap(), model());
    // Piece by piece gives a message of the same length as at once.
    assert_eq!(fs::metadata(&path).unwrap().len(), model().encoded_len() as u64);
    assert_eq!(files(folder.path()), ["m.onnx"], "no temporary file is left");

    let read = onnx::read(&path).unwrap();
    assert_eq!((read.opset(), read.metadata("model.type")), (17, Some("ViT-B-32")));
    let graph = read.graph.unwrap();
    assert_eq!(graph.initializer[1].to_floats(), Some(vec![1.0; 300]));
    assert_eq!(graph.initializer[2].to_ints(), Some(vec![-1, i64::MAX]));
    assert_eq!(graph.node[1].attribute("axis").unwrap().i, Some(-1));
    assert_eq!(graph.output[0].sides().unwrap()[1], Some(DimensionValue::Fixed(300)));
}

#[test]
fn values_beyond_the_limit_lie_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    onnx::write_embedding(&model(), &path, 10).unwrap();
    assert_eq!(files(folder.path()), ["m.onnx", "m_weights.bin"]);
    assert_eq!(fs::metadata(folder.path().join("m_weights.bin")).unwrap().len(), 3600);
    assert_eq!(onnx::read(&path).unwrap(), model());
    let structure = onnx::read_structure(&path).unwrap().graph.unwrap();
    let beside: Vec<bool> =
        structure.initializer.iter().map(|tensor| tensor.is_external()).collect();
    assert_eq!(beside, [true, true, false], "what is small stays in the model");
}

#[test]
fn external_data_that_is_not_as_the_model_says_is_refused() {
    let change = |change: fn(&Path, &mut ModelProto)| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inside/m.onnx");
        fs::create_dir(folder.path().join("inside")).unwrap();
        fs::write(folder.path().join("outside.bin"), [0; 52]).unwrap();
        onnx::write_embedding(&model(), &path, 0).unwrap();
        let mut model = onnx::read_structure(&path).unwrap();
        change(folder.path(), &mut model);
        fs::write(&path, model.encode_to_vec()).unwrap();
        let error = onnx::read(&path).unwrap_err();
        assert_eq!(onnx::read_structure(&path).unwrap_err().to_string(), error.to_string());
        assert!(matches!(error, DeployError::ExternalData { .. }) && !error.hints().is_empty());
        error.to_string().split("m.onnx: ").nth(1).unwrap().to_owned()
    };
    fn entry<'a>(model: &'a mut ModelProto, tensor: usize, key: &str) -> &'a mut String {
        let tensor = &mut model.graph.as_mut().unwrap().initializer[tensor];
        &mut tensor.external_data.iter_mut().find(|entry| entry.key == key).unwrap().value
    }
    let weights = "`m_weights.bin`";

    let found = change(|folder, _| fs::remove_file(folder.join("inside/m_weights.bin")).unwrap());
    assert_eq!(found, format!("tensor `w` has its values in {weights}, which is not there"));
    let found =
        change(|folder, _| fs::write(folder.join("inside/m_weights.bin"), [0; 30]).unwrap());
    assert!(found.ends_with("which has 30 bytes, 2400 from 0 on are needed"), "{found}");
    let found = change(|_, model| *entry(model, 1, "offset") = u64::MAX.to_string());
    assert!(found.contains("which has 3600 bytes"), "{found}");
    let found = change(|_, model| *entry(model, 1, "length") = "-1".to_owned());
    assert!(found.ends_with("whose length `-1` is not a number"), "{found}");
    let found = change(|_, model| *entry(model, 1, "length") = "13".to_owned());
    assert!(found.ends_with("13 bytes there, which is not what the shape [300] needs"), "{found}");
    let found =
        change(|_, model| model.graph.as_mut().unwrap().initializer[0].dims = vec![i64::MAX; 4]);
    assert!(found.contains("is not what the shape"), "{found}");
    let found = change(|_, model| {
        let graph = model.graph.as_mut().unwrap();
        let again = TensorProto { name: "again".to_owned(), ..graph.initializer[0].clone() };
        graph.initializer.insert(2, again);
    });
    assert!(
        found.ends_with("which has 3600 bytes, the tensors up to this one need 6000"),
        "{found}"
    );
    for location in ["../outside.bin", "", "/etc/passwd", "a/../../outside.bin", "."] {
        let change = |model: &mut ModelProto| *entry(model, 0, "location") = location.to_owned();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        onnx::write_embedding(&model(), &path, 0).unwrap();
        let mut model = onnx::read_structure(&path).unwrap();
        change(&mut model);
        fs::write(&path, model.encode_to_vec()).unwrap();
        let error = onnx::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("not a file in the folder of the model"), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn a_link_out_of_the_folder_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    onnx::write_embedding(&model(), &path, 0).unwrap();
    let beside = onnx::external_file(&path);
    fs::rename(&beside, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &beside).unwrap();
    assert!(onnx::read(&path).unwrap_err().to_string().ends_with("which is not there"));
}

#[test]
fn every_cut_of_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let whole = model().encode_to_vec();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        // A cut between two fields of the model leaves a model without a graph, or without metadata.
        if let Ok(read) = onnx::read(&path) {
            assert_eq!(read.graph, model().graph, "cut at {length}");
        }
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = onnx::read(&path).unwrap_err();
    assert!(error.to_string().contains("m.onnx: not a whole ONNX file"), "{error}");
    assert!(!error.hints().is_empty());
}

#[test]
fn what_is_no_model_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let read = || onnx::read(&path).unwrap_err();
    assert!(matches!(read(), DeployError::Missing { .. }));
    fs::write(&path, b"").unwrap();
    assert!(read().to_string().contains("no graph or no operators inside"));
    fs::write(&path, b"not a model at all").unwrap();
    assert!(matches!(read(), DeployError::NotOnnx { .. }), "{}", read());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(read().to_string().ends_with("not a file, need an ONNX model"));
    // A target that is a folder is not replaced.
    assert!(matches!(onnx::write(&model(), &path), Err(DeployError::File(_))));
}

#[test]
fn a_bomb_of_empty_nodes_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    // 36 million nodes of two bytes each.
    let graph = [10u8, 0].repeat(36 << 20);
    let mut file = Vec::new();
    prost::encoding::encode_key(7, prost::encoding::WireType::LengthDelimited, &mut file);
    prost::encoding::encode_varint(graph.len() as u64, &mut file);
    file.extend(graph);
    fs::write(&path, file).unwrap();
    let error = onnx::read(&path).unwrap_err().to_string();
    let (found, needed) = error.rsplit_once(" MB for nodes").unwrap_or_else(|| panic!("{error}"));
    assert_eq!(needed, " and names, at most 512 MB are taken");
    let found: u64 = found.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((5000..9000).contains(&found), "{found} MB");
    // Graphs inside of attributes inside of nodes inside of graphs.
    let mut nested = Vec::new();
    for tag in [1, 5, 6].into_iter().cycle().take(300) {
        let mut field = Vec::new();
        let length_delimited = prost::encoding::WireType::LengthDelimited;
        prost::encoding::encode_key(tag, length_delimited, &mut field);
        prost::encoding::encode_varint(nested.len() as u64, &mut field);
        field.extend(nested);
        nested = field;
    }
    fs::write(&path, [&[58, 0x96, 7][..], &nested].concat()).unwrap();
    let error = onnx::read(&path).unwrap_err().to_string();
    assert!(error.contains("not a whole ONNX file: "), "{error}");
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
