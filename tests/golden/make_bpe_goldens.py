#!/usr/bin/env python3
"""Token ids of tricky texts, as CLIP's reference tokenizer has them.

    make_bpe_goldens.py [OUTPUT-DIRECTORY]

Needs open_clip_torch, ftfy and regex, and imports nothing of this project.  The
reference is OpenAI's simple_tokenizer: open_clip's copy of it with the names of
the special tokens and the white space that OpenAI's has, and checked against
open_clip's own on every text where those two make no difference.

Writes bpe.json beside itself:
    made_by     versions, of Unicode too, and hashes
    groups      {name: [[text, [id, ...]], ...]}, cut to 77 ids
    mojibake    [[text, ids, reference's ids], ...]: what ftfy repairs and we do
                not; "ids" are the reference's with that repair off
    broken      {what is broken: [[text, wrong ids], ...]}: what a tokenizer
                without one of the steps has, so that a test can tell that the
                texts show it
    small       {vocabulary's size: [[text, [id, ...]], ...]}: the first merges
    names       of HTML, those with a semicolon also having it
    names_hash  FNV-1a, 64 bits, over the ids (little-endian int32) of the names'
                spellings, see names_of
    blocks      {context: [FNV-1a over the ids of the context with each code
                point in turn, one for every 4096 code points]}; in the
                contexts %c is the code point, %x its number in hexadecimal;
                contexts but the first have planes 0 and 1 and the tags alone
    left_out    {context: [first, last, ...]}: code points where the reference
                repairs mojibake

Takes ten minutes.
"""

import gzip
import hashlib
import html
import json
import os
import platform
import struct
import sys
import unicodedata

import ftfy
import open_clip
import regex
from open_clip import tokenizer as open_clip_tokenizer

MAX_IDS = 77
BLOCK = 4096
LAST = 0x10FFFF
START, END = "<|startoftext|>", "<|endoftext|>"

CONTEXTS = ["a%cb", "%c", "1%c\u0301\u0323%c\u0327", "A\u03a3%c B\u03a3%cC D%c\u03a3", "it'%c '%ce I'L%c <|%ctARtOfTexT|> <|endo%ctext|>",
            "x&#x%x;y &%x;", "< &#x%x;&amp;#x%x\u0323"]


class Reference(open_clip_tokenizer.SimpleTokenizer):
    """OpenAI's.  The flags switch steps off, for texts that show them."""

    def __init__(self, vocab_size=49408):
        super().__init__()
        self.own = self.encoder
        # of a smaller vocabulary: the first merges alone
        merges = sorted(self.bpe_ranks, key=self.bpe_ranks.get)[:vocab_size - 512 - 2]
        base = sorted(self.encoder, key=self.encoder.get)[:512]
        self.bpe_ranks = {merge: i for i, merge in enumerate(merges)}
        names = base + ["".join(merge) for merge in merges] + [START, END]
        self.encoder = {name: i for i, name in enumerate(names)}
        self.cache = {START: START, END: END}
        self.pat = regex.compile(
            r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
            regex.IGNORECASE)
        self.mojibake = True
        self.fix = True
        self.unescapes = 2
        self.lower = str.lower
        self.normalization = "NFC"
        self.clean_fn = self.clean

    def clean(self, text):
        if self.fix:
            text = ftfy.fix_text(text, fix_encoding=self.mojibake, normalization=self.normalization)
        for _ in range(self.unescapes):
            text = html.unescape(text)
        return self.lower(regex.sub(r"\s+", " ", text.strip()).strip())

    def ids(self, text, **flags):
        before = {name: getattr(self, name) for name in flags}
        for name, value in flags.items():
            setattr(self, name, value)
        ids = [self.encoder[START]] + self.encode(text) + [self.encoder[END]]
        for name, value in before.items():
            setattr(self, name, value)
        if len(ids) > MAX_IDS:
            ids = ids[:MAX_IDS - 1] + [self.encoder[END]]
        return ids


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
    return [chr(c) for first, last in ranges for c in range(first, last + 1)]


def captions():
    return ["a photo of a cat", "A photo of a Cat.", "two dogs running through the snow", "a bowl of strawberries with cream & sugar",
            "the Eiffel Tower at night, Paris, 2019", "a red double-decker bus (London)", "a close-up of a bee on a sunflower", "man riding a horse",
            "a slice of pizza on a plate.", "Grandma's apple pie", "an astronaut riding a horse, oil on canvas", "a diagram", "a dog", "a cat",
            "itap of a tench.", "a bad photo of a goldfish.", "a origami hammerhead shark.", "the toy ostrich.", "a rendering of a snowplow.",
            "Photo: Reuters/J. Smith", "IMG_20190412_143355.jpg", "DSC00213 copy (2).JPG", "12.5\" x 24\" canvas", "$9.99 — 50% off!!!", "№ 5, 3rd floor",
            "http://example.com/a?b=c&d=e", "someone@example.org", "#sunset #nofilter @beach", "C++ vs. C#", "rock & roll", "AT&T", "Q&A", "R&D;",
            "spaghetti_carbonara_recipe", "snake_case and CamelCase and kebab-case", "mp3 h264 4k 1080p x86_64", "don't can't won't shouldn't've",
            "supercalifragilisticexpialidocious", "pneumonoultramicroscopicsilicovolcanoconiosis", "antidisestablishmentarianism", "aaaaaaaaaaaaaaaa",
            "abababababababab", "hahahahahahaha", "zzzzzzzzzz", "qwertyuiop asdfghjkl", "strč prst skrz krk", "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"]


def blanks():
    spaces = ["\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u1680", "\u180e", "\u2028", "\u2029"]
    spaces += chars((0x2000, 0x200D)) + ["\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"]
    out = ["", " ", "  ", "\t", "\n", "\r\n", " \t\r\n ", "\xa0", "\u3000\u3000", "\u2003 \u2009", "\v", "\x1c", "\x1f \x1f", "\r", "\r\r\n\n", "\x85", "\ufeff", "\u200b"]
    out += ["two%swords" % s for s in spaces] + ["%s ends %s" % (s, s) for s in spaces] + ["&lt;%sx<y%s'%ss" % (s, s, s) for s in spaces]
    out += ["a  b   c    d", "tab\tnew\nline\r\nboth", "x\n\n\n\ny", " a ", "a&#32;b", "a&nbsp;b&#160;c", "&nbsp;", "&#10;&#13;x", "&#11;x&#12;y", "&#28;x&#31;y",
            "&#x2028;x&#x85;y", "a&Tab;b&NewLine;c", "a&ensp;b&emsp;c&thinsp;d&hairsp;e", "< a&#28;b&#133;c&nbsp;d"]
    return out


def controls():
    """But NUL, which the tests' reader of JSON cannot hold."""
    out = ["con%strol" % c for c in chars((1, 0x1F), (0x7F, 0x9F))]
    out += ["%s" % c for c in chars((1, 8), (0x80, 0x84), (0x91, 0x94))]
    out += ["\x1b[31mred\x1b[0m", "\x1b[1;31;40mbold\x1b[mplain", "\x1b[31", "\x1b[", "\x1b", "\x1b[;;;;m", "\x1b[12;3H at", "\x1b\x1b[1mx", "\x1b[1\x01m", "\x1b[\u0661m", "\x1b[\uff11m",
            "\uff3b1m", "\x1b\uff3b1m x", "\x1b[&#49;m y", "\x1b[&amp;#49;m z", "\x1b[1\u212a k", "\x1b[31m\x1b[0m", "&#27;[31mred", "\x1b[2J\x1b[H", "\x1b[31~", "\x1b[?25l", "\x9b31m"]
    formats = ["\xad", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2063", "\u2066", "\u2069", "\u206a", "\u206f", "\ufeff", "\ufff9", "\ufffb",
               "\ufffc", "\ufffd", "\U000e0001", "\U000e0041", "\u061c", "\u06dd"]
    out += ["zero%swidth" % c for c in formats] + formats
    out += ["\ufeffmark at the front", "at the end\ufeff", "\u202egnirts desrever\u202c", "soft\xadhy\xadphen\xad", "replace\ufffdment", "\ufffd \ufffd", "\ue000", "x\uf8ffy", "\U0010fffd",
            "non\ufdd0char\uffff\U0001fffe", "&a\x01mp;", "&am\ufeffp;lt;", "&#x206a;x&#xfeff;y", "bell\x07", "\x08\x08back", "a\x7fb"]
    return out


def contractions():
    words = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Re", "'VE", "'M", "'LL", "'lL", "'D", "'\u017f", "'x", "'l", "'r", "'v"]
    out = ["it" + w for w in words] + words + ["it %s up" % w for w in words] + ["A%sB" % w for w in words]
    out += ["it\u2019s", "they\u2019re", "I\u2019VE", "it\u2018s", "it\u201bs", "it\u02bcs", "it\uff07s", "it&#39;s", "it&apos;s", "it&rsquo;s", "it`s", "it\u2032s", "''s", "'''s", ".'s", "!'s'", "1's", "'s's's",
            "'stop'", "'tis 'twas", "'reindeer", "'velvet", "'llama", "'dog", "rock'n'roll", "O'Reilly's", "y'all'd've", "'\u017ftop", "it'\u017f", "<it'\ufb05", "&#x27;s", "it''s", "\"'s\"", "'s\u0301", "'\u015b"]
    return out


def entities():
    out = ["&amp;", "&amp;amp;", "&amp;amp;amp;", "&amp;amp;amp;amp;", "&amp;amp;amp;amp;amp;lt;", "&lt;b&gt;", "&amp;lt;b&amp;gt;", "&amp;amp;lt;", "&lt", "&amp", "&ampamp;", "&amp;amp", "&copy", "&copy;", "&copyright",
           "&COPY", "&COPY;", "&not", "&not;", "&notin;", "&notin", "&notit;", "&noti;", "&NotEqualTilde;", "&notanentity;", "&am;", "&;", "&", "&&", "&&amp;", "&&amp;;", "& amp;", "&amp ;", "&am p;",
           "&CounterClockwiseContourIntegral;", "&CounterClockwiseContourIntegral", "&DoubleLongLeftRightArrow;", "&eacute;", "&Eacute;", "&EACUTE;", "&eACUTE;", "&eacute", "&EACUTE", "P&EACUTE;REZ", "&szlig;", "&SZLIG;",
           "BUNDESSTRA&SZLIG;E", "&NAPOS;", "&napos;", "&FFLIG;", "&fflig;", "&FJLIG;", "&fjlig;", "&MICRO;", "&micro;", "&SIGMAF;", "&sigmaf;", "\u0391&SIGMAF;", "&IMATH;", "&imath;", "&THETAV;", "&FRAC12;", "&frac12;", "&NVLT;",
           "&nvlt;", "&COPYSR;", "&LTCC;", "&REGX;", "&quot;q&quot;", "&QUOT;", "&hellip;", "&HELLIP;", "&mdash;", "&rsquo;", "&semi;", "&lt&semi;", "&amp&semi;lt&semi;", "&semi&semi;", "&semi&semi&semi;;", "&num;", "&&num;38;", "&#38;#38;",
           "&#59;", "&lt&#59;", "&#x3b;", "&lt&#x37e;", "&lt&#xff1b;", "&lt\uff1b", "\uff06lt;", "&\uff4c\uff54;", "&lt\u037e", "&\u212aappa;", "&#x212a;", "&&#x6c;t;", "&l&#x74;;", "&am&#112;;lt;", "&#xFF06;lt;", "&fl\ufb01;", "&\ufb02tns;"]
    numbers = ["0", "00", "1", "8", "9", "10", "11", "12", "13", "27", "31", "32", "33", "38", "59", "60", "64", "127", "128", "129", "130", "133", "140", "141", "142", "145", "150", "153", "159", "160", "173", "233", "305", "0065", "55296", "57343",
               "64976", "65007", "65279", "65534", "65535", "65536", "128512", "131070", "1114109", "1114110", "1114111", "1114112", "4294967296", "4294967361", "18446744073709551681", "99999999999999999999999"]
    out += ["x&#%s;y" % n for n in numbers] + ["x&#%sy" % n for n in numbers] + ["< &#%s;" % n for n in numbers]
    out += ["&#x%X;" % int(n) for n in numbers] + ["&#X%x" % int(n) for n in numbers]
    out += ["&#", "&#;", "&#x", "&#x;", "&#xg;", "&#xfffg;", "&#12a;", "&#a;", "&#-1;", "&# 65;", "&#6 5;", "&#\u0666\u0665;", "&#\uff16\uff15;", "&##65;", "&#x1F600;&#128512", "&#x26;#x26;#x26;", "&#000000000000000000000065;", "&#0000000000000000000000065;",
            "&#x" + "0" * 40 + "41;", "&" + "a" * 24 + ";", "&" + "a" * 25 + ";", "&" + "a" * 32 + ";", "&lt" + "a" * 40 + ";", "&lt\u00e9;", "&lt\u4e2d", "&copy\u00e9", "&copy=1", "a&b&c", "a&lt;b", "?a=1&copy=2&reg=3&lt=4"]
    # a "<" stops ftfy, on its line and all below
    out += ["<b>&amp;amp;amp;</b>", "&amp;amp;amp; <", "&amp;amp;amp;\n<\n&amp;amp;amp;", "<\n&amp;amp;amp;", "\uff1c &amp;amp;amp;", "&lt; &amp;amp;amp;", "<&NAPOS; &SZLIG;", "< &ldquo;curly&rdquo; &#xFB01; &#xFF21;", "<e&#769; e\u0301",
            "< &#x27;S &#x2019;s", "< A&Sigma;", "<&#x212b;&#x1f71;", "<&#x49;&#x307;"]
    return out


def quotes_and_forms():
    out = ["\u201cquoted\u201d \u2018single\u2019 \u201elow\u201f \u201alow\u201b \xabguillemets\xbb \u2039x\u203a", "\u02bc", "\u02bb\u02bd", "\u2032\u2033", "\uff02\uff07", "`\xb4"]
    out += chars((0x132, 0x133), (0x149, 0x149), (0x17F, 0x17F), (0x1C4, 0x1CC), (0x1F1, 0x1F3), (0xFB00, 0xFB06), (0xFB13, 0xFB17))
    out += ["o%sx" % c for c in chars((0x132, 0x133), (0x149, 0x149), (0x1C4, 0x1CC), (0x1F1, 0x1F3), (0xFB00, 0xFB06))]
    out += ["\ufb02u\ufb03e\ufb06", "o\ufb03ce", "FU\ufb03N", "congre\u017fs", "Ma\u017f\u017fachu\u017fetts", "\u0152uvre \u0153uf \xc6on \xe6on", "\uff2c\uff2f\uff35\uff24\u3000\uff2e\uff2f\uff29\uff33\uff25\uff33", "\uff35\uff80\uff70\uff9d"]
    out += [c for c in chars((0xFF01, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65), (0xFFE0, 0xFFEE))] + ["\uff11\uff12\uff13", "\uff21b\uff23", "\uff1cstartoftext\uff1e"]
    out += ["\uff76\uff9e", "\uff8a\uff9f\uff9d", "\uff73\uff9e\uff67", "\uff9e\uff9f", "\uffa1\uffc2\uffa4", "\uffa1\uffc2\uffb7", "\uffa0", "\uffdc\uffda", "\ufff0", "\uff00", "\uffef", "\uffbf\uffc0"]
    return out


def accents():
    words = ["Café", "naïve", "crème brûlée", "Ångström", "ÀÉÎÕÜ", "ŁÓDŹ", "Dvořák", "jalapeño", "smörgåsbord", "Việt Nam phở bò", "Ψυχή", "ἄνθρωπος ᾧ", "ёжик Й", "Ў Ќ Ѓ", "ḍṇṣ", "ǖǘǚǜ", "Ǻ", "ṩ", "ệ", "garçon", "Ä Ö Ü", "ǭ", "ΰ", "ᾷ"]
    out = []
    for word in words:
        for form in ("NFC", "NFD"):
            text = unicodedata.normalize(form, word)
            if text not in out:
                out.append(text)
    out += ["e\u0301\u0302\u0303", "\u0301", "\u0301e", " \u0301", "a\u0323\u0307", "a\u0307\u0323", "q\u0307\u0323x", "s\u0307\u0323", "s\u0323\u0307", "d\u0307\u0323\u0307", "e \u0301", "e\u200d\u0301", "\u0301\u0301",
            "z\u0351\u036b\u0343\u036a\u0302\u036b\u033da\u0334l\u0321go", "z" + "\u0351\u0321" * 20, "a" + "\u0323\u0301\u0327" * 12, "o\u20dd", "x\u20e3", "n\u0360n", "K\u212a", "\u212b", "\u2126", "\u1e9b\u0323", "\u0344", "\u0340\u0341", "\u0374", "\u037e", "\u0387", "\u1fee", "\u1fef",
            "\u2000\u2001", "\u2329x\u232a", "\u0958\u0959", "\u0f73", "\u0f71\u0f72\u0f74", "\u2adc", "\ufb1d", "\ufb2a", "\ufb2c", "\ufb4f", "\U0001d15e", "\U0001d160", "\U0001d1bb", "A\u030aB\u030a", "\u302ea\u302f", "\u0b47\u0b56", "\u0b47\u0301\u0b56", "\u1100\u1161\u11a8", "\u1100\u1161\u0301\u11a8",
            "\u1112\u1161\u11ab\u1100\u1173\u11af", "\uac00\u11a7", "\uac00\u11a8", "\uac01\u11a8", "\ud55c\uae00", "\u1100\u1100\u1161", "\u1161\u11a8", "=\u0338", "<\u0338", "\u226e", "\u0345", "\u03b1\u0345", "x\u0345y", "!\u0345!", "1\u0345'\u0345s", "\u03b1\u0345\u0301", "\u1fb3\u0301", "\U00016121", "\U0001611e\U0001611e",
            "\U000105d2\u0307", "\U00011382\U000113c9", "\uf900\uf901\ufa10", "\U0002f800", "\ufa6d", "\ufb1f", "\u05e9\u05c1\u05bc", "\u05e9\u05bc\u05c1", "\u0628\u0651\u064e", "\u0628\u064e\u0651", "\u0627\u0653\u0648\u0654", "\u0915\u093c", "\u0e33\u0e4d", "\u0dd9\u0dcf\u0dca"]
    return out


def cases():
    out = ["İstanbul", "ISTANBUL", "ıstanbul", "I\u0307stanbul", "İ", "İİ", "i\u0307", "DİYARBAKIR", "ı I i İ", "ß", "ẞ", "Straße STRASSE STRAẞE", "ΣΊΣΥΦΟΣ", "σίσυφος", "Σ", "ΣΣ", "ΑΣ", "ΣΑ", "ΑΣΑ", "ΑΣ.", "ΑΣ.Α", "ΑΣ Α", "Α.Σ", "Α Σ", "1Σ", "ΑΣ1", "ΑΣ'", "ΑΣ'Α", "'Σ", "Α'Σ",
           "ΑΣ\u0301", "ΑΣ\u0301Α", "Α\u0301Σ", "ΑΣ\xad", "ΑΣ\xadΑ", "ΑΣ\u200dΑ", "ΑΣ\u2019Α", "ΑΣ:Α", "ΑΣ:", "ΑΣ\u02b0", "ΑΣ\u02b0Α", "\u02b0Σ", "ΑΣ^Α", "ΑΣ`Α", "ΑΣ\xa8", "ΑΣ中", "中Σ", "ΑΣⓐ", "ⒶΣ", "ⅧΣ", "ΑΣ𝐀", "𝐀Σ", "ΑΣς", "ςΣ", "ΟΔΟΣ ΟΔΌΣ ὈΔΥΣΣΕΎΣ", "ς σ Σ", "A&Sigma;", "A&#931;B", "ΑΣ_Α", "ΑΣ-Α",
           "ΑΣ\U0001F600", "ΑΣ&lt;", "ΑΣ\nΑ", "ΑΣ" + "\u0301" * 30, "ΑΣ" + "." * 30 + "Α", "ǅ ǆ Ǆ", "Ĳ ĳ", "Æ Œ", "Ⅷ ⅷ", "ⒶⒷ ⓐⓑ", "𝐀𝐁 𝓐 𝕬", "Ԁ ԁ", "ᏣᎳᎩ", "ꭰꮿ", "Ა ა", "Ⴀ ⴀ", "Ⰰ ⰰ", "𐐀 𐐨", "𐲀 𐳀", "𑢠 𑣀", "𞤀 𞤢", "𖹀 𖹠", "ДИКІ дикі", "K \u212a k", "Å å \u212b", "Ω \u2126", "ẛ", "UPPER lower MiXeD",
           "ſ long s: congreſſ", "և", "Ա ա", "ΐ ΰ", "ᾳ ᾼ ᾲ", "ῼ", "ϴ θ", "ϓ", "Ꙁ ꙁ", "Ꟃ ꟃ", "Ʞ ʞ", "\ua7cb \ua7da \ua7dc", "\U00010d50", "\u1c89", "\U00016ea0", "Ⱥ Ⱦ", "ꞍꞪ", "ͰͲͿ", "ẞSS"]
    return out


def special():
    names = ["<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|>", "<|ENDOFTEXT|>", "<|StartOfText|>", "<|endOFtext|>", "<|\u017ftartoftext|>", "<|\ufb05artoftext|>", "<|startoftext", "startoftext|>", "<|startoftext|", "<startoftext>", "< |startoftext|>", "<|start oftext|>",
             "<|endoftext|", "<|endoftext>", "&lt;|endoftext|&gt;", "&lt;|startoftext|&gt;", "\uff1c|endoftext|\uff1e", "<|end\u00adoftext|>", "<|end\x01oftext|>", "<|endoftext\u0301|>", "<|endoftext|\u0338>"]
    out = names + ["a %s b" % n for n in names] + ["a%sb" % n for n in names] + ["!%s!" % n for n in names]
    out += ["<|startoftext|><|endoftext|>", "<|endoftext|>" * 80, "<<|endoftext|>>", "|<|endoftext|>|", "'s<|endoftext|>'s", "1<|endoftext|>1", "</w>", "a</w>", "the</w> cat</w>", "<w>", "</w></w>", "<start_of_text> a", "<end_of_text>", "[CLS] a [SEP]", "<s> </s> <pad> <unk> <mask>",
            "<|im_start|>", "##ing"]
    return out


def numbers():
    return ["0", "1", "12", "123", "1234567890", "3.14", "1,234,567.89", "1e10", "0x1F", "1/2", "½", "¼½¾", "x²y³", "H₂O", "10⁻⁶", "①②③", "⑴⒈", "Ⅳ ⅳ", "ↀↁ", "٠١٢٣", "۱۲۳", "०१२", "১২", "๑๒๓", "０１２", "𝟘𝟙𝟚", "𝟏", "一二三", "〇", "㊀㋀", "㍘", "௧௰", "፩፲", "𐄇", "𒐕", "𞣇", "1a2b3c", "a1b", "1st 2nd 3rd", "2024-01-31",
            "12:34:56", "+1 (555) 123-4567", "1_000_000", "_1_", "1\u0301", "९\u0301", "1\u20e3", "1️⃣", "#️⃣", "🄀🄁", "🯰🯱", "\U00011de0", "\U000116d0", "Ⅷth", "１st", "٣ cats"]


def punctuation():
    out = ["w%sx" % c for c in chars((33, 47), (58, 64), (91, 96), (123, 126))] + chars((33, 47), (58, 64), (91, 96), (123, 126))
    out += ["...", "…", "!!!", "?!?!", "--", "—", "–", "~`^|\\", "_", "__", "_a_", "a_b", "_1", "¿Qué? ¡No!", "§ 5 ¶ 6", "• item · dot", "† ‡ ※", "‰ ‱", "、。〃〈〉《》", "؟ ، ؛", "। ॥", "‿ ⁀ ⁔", "2⁄3", "(a) [b] {c} <d>", "a<b>c", "<a href=\"x\">y</a>", "x...y", "a,b;c:d", "\"", "''", "``", "¦¬´¨¸¯˜˚",
            "!\xa0!", "?!🍓?!", "$€£¥₹₿", "←→↑↓⇒", "■□▲●", "♠♥♦♣", "✓✗", "∀x∈ℝ: x² ≥ 0", "ℵℏℓ", "a×b÷c", "30°C", "™®©", "ªº", "ⓐ", "🅰🅱", "ʰʲ", "ˆ˜", "˥˦", "ᐃᐄ", "⠓⠑", "𝑓(𝑥)"]
    return out


def emoji():
    return ["😀", "I ❤ NY", "I ❤️ NY", "❤︎", "👍🏽", "👩‍🍳", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🍓🍓🍓", "a🍓b", "strawberry🍓", "☕️", "☕", "🏳️‍🌈", "♂️", "👁️‍🗨️", "💯%", "🔥hot🔥", "\ufe0f", "\ufe0fa", "\u200d", "🧑🏿‍🦱", "©️", "‼️", "㊗️", "🀄", "(😀)", "😀" * 40, "😀 " * 80, "\U000e0100", "葛\U000e0100", "👩🏻‍❤️‍💋‍👨🏼", "🫠🫡", "🪿🫎", "🫩", "\U0001fae8!",
            "a photo of a 🐈", "🐈‍⬛", "✌🏻✌🏿", "😂😂😂", "🤷‍♀️"]


def scripts():
    return ["東京タワー", "the東京tower", "写真：東京タワー　夜景", "汉字漢字", "日本語のテキスト", "ひらがなカタカナ", "ガ カ\u3099", "ﾊﾟ", "中。文，标、点！？", "㍿㈱", "𠀀𠀁", "\U0002ebf0\U00030000\U000323b0", "한국어 텍스트", "\u1112\u1161\u11ab국", "ประเทศไทย", "ภาษาไทย", "Việt Nam", "हिन्दी", "नमस्ते दुनिया", "বাংলা", "தமிழ்", "తెలుగు", "മലയാളം", "සිංහල", "ລາວ", "မြန်မာ",
            "ភាសាខ្មែរ", "བོད་ཡིག", "ქართული", "Հայերեն", "עברית שלום", "שָׁלוֹם", "العربية", "السَّلَامُ عَلَيْكُمْ", "ﻻ ﷺ", "\ufefb", "فارسی می‌خواهم", "اردو", "አማርኛ", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ᐃᓄᒃᑎᑐᑦ", "ߒߞߏ", "ⵜⴰⵎⴰⵣⵉⵖⵜ", "Русский язык", "Українська", "Български", "Ελληνικά", "Íslenska þð", "Türkçe ğüşıöç", "Čeština", "Polski ąćęłńóśźż", "Magyar őű", "Română șț", "Māori",
            "ʻŌlelo Hawaiʻi", "Yorùbá ẹ̀kọ́", "𐌲𐌿𐍄𐌹𐍃𐌺", "𓀀𓁐", "𒀭", "ꦧꦱꦗꦮ", "ᮘᮞ", "\U0001e290\U0001e4d0", "𞤆𞤵𞤤𞤢𞤪", "ᠮᠣᠩᠭᠣᠯ", "ꯃꯤꯇꯩ", "ᱥᱟᱱᱛᱟᱲᱤ", "a b\u0906c", "кот cat 猫 고양이 قط", "\u3042\u3099", "ゑヰ", "ー", "々〆", "ㄅㄆ", "ꀀꀁ"]


def long_texts():
    out = [" ".join(["cat"] * n) for n in (74, 75, 76, 77, 200)] + ["1" * n for n in (74, 75, 76, 200)] + ["a" * n for n in (64, 65, 127, 128, 129, 1000)]
    out += ["x" * 63 + "y", "ab" * 500, "the quick brown fox jumps over the lazy dog " * 20, "é" * 300, "中" * 100, "strawberry" * 40, "cat " * 74 + "strawberries!", "cat " * 73 + "pneumonoultramicroscopicsilicovolcanoconiosis", "cat " * 75 + "<|endoftext|>", "!" * 500, "!?" * 90,
            "&amp;" * 100, "&amp;" + "amp;" * 100, "\u0301" * 200, "a\u0301" * 200, "İ" * 100, "ΑΣ" * 100, "ﬃ" * 100, "\U0001d160" * 40, "\u200d" * 100, "&lt" * 50, "don't " * 60]
    r = Random(20240101)
    letters = "abcdefghijklmnopqrstuvwxyz"
    out += ["".join(r.pick(letters) for _ in range(n)) for n in (10, 40, 100, 150, 300)]
    return out


POOL = list("abcdefgABCSsTt'\"<>&;#xX0123456789.,!? \t\n\r") + [
    "&amp;", "&amp", "amp;", "&lt;", "&gt;", "&semi;", "&semi", "&num;", "&#", "&#x", "&#59;", "&#38;", "&#x3c;", "\x1b[", "\x1b[31m", "[1;2m", "\x01", "\x0b", "\x1c", "\x7f", "\x85", "\x91", "\xa0", "\xad", "\u2019", "\u201c", "\u02bc", "\u0149", "\ufb01", "\ufb05", "\u01c4",
    "\uff21", "\uff1b", "\uff06", "\u3000", "\uff8a", "\uff9f", "\u03a3", "\u0391\u03a3", "\u03c2", "\u0130", "I", "\u0131", "\u017f", "'s", "'S", "'LL", "\u0301", "\u0323", "\u0338", "\u0345", "\u037e", "\u212a", "\u2028", "\ufeff", "\u200d", "\xe9", "\ud55c", "\u1112", "\u1161", "\u0958", "\U0001f600", "\U0001f1e9",
    "\u4e2d", "\u0627", "\u0967", "\xbd", "_", "-", "<|startoftext|>", "<|endoftext|>", "<|EndOfText|>", "&copy", "&notit;", "&EACUTE;", "&SZLIG;", "&#0;", "&#x80;", "&#xfb05;"]


def mixed():
    r = Random(77)
    return ["".join(r.pick(POOL) for _ in range(1 + r.below(24))) for _ in range(300)]


def mojibake():
    return ["sÃ³", "âœ” No problems", "voilÃ le travail", "l’humanitÃ©", "â€œquotedâ€\x9d", "Ã©tÃ©", "donâ€™t", "schÃ¶n", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "Ã¼ber", "ãƒ†ã‚¹ãƒˆ", "ðŸ˜€", "rÃ©sumÃ© &amp; cv", "Â£5", "5Â°C", "caf\xc3\xa9"]


GROUPS = (captions, blanks, controls, contractions, entities, quotes_and_forms, accents, cases, special, numbers, punctuation, emoji, scripts, long_texts, mixed)

BROKEN = {
    "unescaped once": {"unescapes": 1},
    "not unescaped": {"unescapes": 0},
    "without ftfy": {"fix": False},
    "without NFC": {"normalization": None},
    "not lower case": {"lower": lambda text: text},
    "lower case of single code points": {"lower": lambda text: "".join(c.lower() for c in text)},
    "case folded": {"lower": str.casefold},
}


# ---- hashes


def fnv(h, ids):
    for b in struct.pack("<%di" % len(ids), *ids):
        h = ((h ^ b) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return h


FNV_START = 14695981039346656037


def in_context(context, code):
    return context.replace("%c", chr(code)).replace("%x", "%x" % code)


def skips(context, code):
    return 0xD800 <= code <= 0xDFFF or (
        context != CONTEXTS[0] and code >= 0x20000 and not 0xE0000 <= code < 0xE1000)


def blocks_of(reference, context):
    blocks, left_out = [], []
    for first in range(0, LAST + 1, BLOCK):
        h = FNV_START
        for code in range(first, first + BLOCK):
            if skips(context, code):
                continue
            text = in_context(context, code)
            ids = reference.ids(text)
            # mojibake is of code points that some one-byte encoding has
            if code < 0x3000 and reference.ids(text, mojibake=False) != ids:
                if left_out and left_out[-1] == code - 1:
                    left_out[-1] = code
                else:
                    left_out += [code, code]
                continue
            h = fnv(h, ids)
        reference.cache = {START: START, END: END}
        blocks.append("%016x" % h)
    return blocks, left_out


def names_of(reference):
    """Each name as it is, in capitals, in small letters, within HTML, and with
    something behind it."""
    h = FNV_START
    for name in html.entities.html5:
        for text in ("a&%s" % name, "&%sb" % name.upper(), "&%s c" % name.lower(), "<&%sx" % name, "&%s" % name.rstrip(";")):
            h = fnv(h, reference.ids(text, mojibake=False))
    return "%016x" % h


# ---- main


def check_against_open_clip(own, reference, text):
    """open_clip's own has other special tokens, in its pattern too."""
    clean = reference.clean(text)
    if "|" in clean or "_" in clean:
        return
    ids = own([text])[0].tolist()
    while ids[-1] == 0:
        ids.pop()
    if ids != reference.ids(text):
        sys.exit("%r: not as open_clip has it" % text)


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    own = open_clip_tokenizer.SimpleTokenizer()
    reference = Reference()
    with gzip.open(open_clip_tokenizer.default_bpe()) as f:
        lines = f.read().split(b"\n")
    merges = b"#version: 0.2\n" + b"\n".join(lines[1:49408 - 512 - 2 + 1]) + b"\n"

    groups, repaired, seen = {}, [], set()
    for make in GROUPS + (mojibake,):
        pairs = []
        for text in make():
            if text in seen:
                continue
            seen.add(text)
            check_against_open_clip(own, reference, text)
            ids = reference.ids(text)
            plain = reference.ids(text, mojibake=False)
            if ids == plain:
                pairs.append([text, ids])
            else:
                repaired.append([text, plain, ids])
        if make is not mojibake:
            groups[make.__name__] = pairs
    count = sum(len(pairs) for pairs in groups.values())

    broken = {}
    for what, flags in BROKEN.items():
        wrong = [[text, reference.ids(text, **flags)] for pairs in groups.values() for text, ids in pairs
                 if len(text) < 40 and reference.ids(text, **flags) != ids]
        if not wrong:
            sys.exit("no text shows a tokenizer that is %s" % what)
        broken[what] = wrong[:12]

    small = {}
    for size in (514, 515, 1000, 5000):
        tokenizer = Reference(size)
        small[size] = [[text, tokenizer.ids(text, mojibake=False)] for name in ("captions", "scripts") for text, _ in groups[name][:20]]

    names = names_of(reference)
    blocks, left_out = {}, {}
    for context in CONTEXTS:
        blocks[context], left_out[context] = blocks_of(reference, context)

    path = os.path.join(out, "bpe.json")
    dump = lambda value: json.dumps(value, separators=(",", ":"))
    rows = lambda items: "[\n%s\n]" % ",\n".join(map(dump, items))
    table = lambda groups: "{\n%s\n}" % ",\n".join("%s: %s" % (json.dumps(str(name)), rows(items)) for name, items in groups.items())
    with open(path, "w", encoding="ascii", newline="\n") as f:
        f.write("{\n\"made_by\": %s,\n" % json.dumps({
            "python": platform.python_version(), "unicode": unicodedata.unidata_version, "open_clip": open_clip.__version__,
            "ftfy": ftfy.__version__, "regex": regex.__version__, "merges_sha256": hashlib.sha256(merges).hexdigest(),
            "bpe_simple_vocab_16e6_sha256": hashlib.sha256(b"\n".join(lines)).hexdigest()}))
        f.write("\"names_hash\": \"%s\",\n\"names\": [\n" % names)
        spelt = list(html.entities.html5)
        f.write(",\n".join(dump(spelt[i:i + 12])[1:-1] for i in range(0, len(spelt), 12)) + "\n],\n")
        f.write("\"blocks\": {\n%s\n},\n" % ",\n".join("%s: %s" % (json.dumps(c), dump(blocks[c])) for c in CONTEXTS))
        f.write("\"left_out\": %s,\n" % dump(left_out))
        f.write("\"mojibake\": %s,\n\"broken\": %s,\n\"small\": %s,\n\"groups\": %s\n}\n" % (
            rows(repaired), table(broken), table(small), table(groups)))
    print("%d texts, %d with mojibake, %d bytes; left out: %s" % (
        count, len(repaired), os.path.getsize(path), {c: sum(b - a + 1 for a, b in zip(r[::2], r[1::2])) for c, r in left_out.items()}))


if __name__ == "__main__":
    main()
