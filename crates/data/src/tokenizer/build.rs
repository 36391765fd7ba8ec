//! A `tokenizer.json` from the older files: CLIP's merges, Hugging Face's pair of files, BERT's list.

use serde_json::{Map, Value, json};

/// Merges that CLIP takes from its file, which holds more.
const CLIP_MERGES: usize = 49_152 - 256 - 2;

/// Words of CLIP: English clitics, letters, single digits, runs of anything else but space.
const CLIP_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

/// From CLIP's merges alone: the vocabulary follows from their order.
pub(super) fn clip_of_merges(text: &str) -> Result<Vec<u8>, String> {
    let merges = merges(text)?;
    let symbols = byte_symbols();
    let ends = symbols.iter().map(|symbol| format!("{symbol}</w>"));
    let merged = merges.iter().map(|[left, right]| format!("{left}{right}"));
    let specials = ["<start_of_text>", "<end_of_text>"];
    let tokens = symbols.iter().map(char::to_string).chain(ends).chain(merged);
    let tokens = tokens.chain(specials.map(str::to_owned));
    let vocabulary = tokens.enumerate().map(|(id, token)| (token, Value::from(id))).collect();
    clip(vocabulary, &merges, specials)
}

/// From Hugging Face's `vocab.json` and `merges.txt`.
pub(super) fn clip_of_two_files(vocabulary: &str, text: &str) -> Result<Vec<u8>, String> {
    let vocabulary = serde_json::from_str(vocabulary).map_err(|error| error.to_string())?;
    clip(vocabulary, &merges(text)?, ["<|startoftext|>", "<|endoftext|>"])
}

/// From BERT's `vocab.txt`: one token a line, its number is its id.
pub(super) fn bert(text: &str) -> Result<Vec<u8>, String> {
    let tokens = text.lines().map(str::to_owned);
    let vocabulary: Map<String, Value> =
        tokens.enumerate().map(|(id, token)| (token, Value::from(id))).collect();
    if !vocabulary.contains_key("[UNK]") {
        return Err(
            "found neither a tokenizer.json nor merges nor a `vocab.txt` with `[UNK]`".to_owned()
        );
    }
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    Ok(document(
        added(&vocabulary, &specials),
        json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        }),
        json!({ "type": "BertPreTokenizer" }),
        json!({
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        }),
    ))
}

fn clip(
    vocabulary: Map<String, Value>,
    merges: &[[&str; 2]],
    specials: [&str; 2],
) -> Result<Vec<u8>, String> {
    if let Some(missing) = specials.iter().find(|special| !vocabulary.contains_key(**special)) {
        return Err(format!("found no `{missing}` in the vocabulary"));
    }
    Ok(document(
        added(&vocabulary, &specials),
        Value::Null,
        json!({ "type": "Sequence", "pretokenizers": [
            {
                "type": "Split", "pattern": { "Regex": CLIP_WORDS },
                "behavior": "Removed", "invert": true,
            },
            {
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": false,
            },
        ]}),
        json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false,
            "vocab": vocabulary, "merges": merges,
        }),
    ))
}

fn document(added: Value, normalizer: Value, pre_tokenizer: Value, model: Value) -> Vec<u8> {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": null, "model": model,
    })
    .to_string()
    .into_bytes()
}

fn added(vocabulary: &Map<String, Value>, specials: &[&str]) -> Value {
    let known = specials.iter().filter_map(|special| Some((special, vocabulary.get(*special)?)));
    let tokens = known.map(|(special, id)| {
        json!({
            "id": id, "content": special, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    });
    tokens.collect()
}

/// The pairs of a merges file, without its first line, which names the version.
fn merges(text: &str) -> Result<Vec<[&str; 2]>, String> {
    let lines = text.lines().enumerate().skip(1).take(CLIP_MERGES);
    let pairs = lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| {
        let mut symbols = line.split_whitespace();
        match (symbols.next(), symbols.next(), symbols.next()) {
            (Some(left), Some(right), None) => Ok([left, right]),
            _ => Err(format!("line {}: found `{line}`, needed two symbols", number + 1)),
        }
    });
    pairs.collect()
}

/// A visible character for each byte, in the order of CLIP's ids: first the bytes that are one.
fn byte_symbols() -> Vec<char> {
    let is_visible = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let visible = (0..=255).filter(|&byte| is_visible(byte)).map(char::from);
    let others = (0..=255).filter(|&byte| !is_visible(byte)).count() as u32;
    visible.chain((256..256 + others).filter_map(char::from_u32)).collect()
}
