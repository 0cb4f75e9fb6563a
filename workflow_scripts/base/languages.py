"""Languages by their codes: what people and language models call them, and what NLLB calls them."""

from collections.abc import Mapping

# ISO 639-1 -> English name, code of NLLB-200 (https://github.com/facebookresearch/flores, README of flores200)
LANGUAGES: Mapping[str, tuple[str, str]] = {
    "am": ("Amharic", "amh_Ethi"), "ar": ("Arabic", "arb_Arab"), "bg": ("Bulgarian", "bul_Cyrl"),
    "bn": ("Bengali", "ben_Beng"), "ca": ("Catalan", "cat_Latn"), "cs": ("Czech", "ces_Latn"),
    "da": ("Danish", "dan_Latn"), "de": ("German", "deu_Latn"), "el": ("Greek", "ell_Grek"),
    "en": ("English", "eng_Latn"), "es": ("Spanish", "spa_Latn"), "fa": ("Persian", "pes_Arab"),
    "fi": ("Finnish", "fin_Latn"), "fr": ("French", "fra_Latn"), "gu": ("Gujarati", "guj_Gujr"),
    "ha": ("Hausa", "hau_Latn"), "he": ("Hebrew", "heb_Hebr"), "hi": ("Hindi", "hin_Deva"),
    "hr": ("Croatian", "hrv_Latn"), "hu": ("Hungarian", "hun_Latn"), "id": ("Indonesian", "ind_Latn"),
    "ig": ("Igbo", "ibo_Latn"), "it": ("Italian", "ita_Latn"), "ja": ("Japanese", "jpn_Jpan"),
    "kn": ("Kannada", "kan_Knda"), "ko": ("Korean", "kor_Hang"), "ml": ("Malayalam", "mal_Mlym"),
    "mr": ("Marathi", "mar_Deva"), "ms": ("Malay", "zsm_Latn"), "ne": ("Nepali", "npi_Deva"),
    "nl": ("Dutch", "nld_Latn"), "pa": ("Punjabi", "pan_Guru"), "pl": ("Polish", "pol_Latn"),
    "pt": ("Portuguese", "por_Latn"), "ro": ("Romanian", "ron_Latn"), "ru": ("Russian", "rus_Cyrl"),
    "sk": ("Slovak", "slk_Latn"), "sl": ("Slovenian", "slv_Latn"), "sr": ("Serbian", "srp_Cyrl"),
    "sv": ("Swedish", "swe_Latn"), "sw": ("Swahili", "swh_Latn"), "ta": ("Tamil", "tam_Taml"),
    "te": ("Telugu", "tel_Telu"), "th": ("Thai", "tha_Thai"), "tl": ("Tagalog", "tgl_Latn"),
    "tr": ("Turkish", "tur_Latn"), "uk": ("Ukrainian", "ukr_Cyrl"), "ur": ("Urdu", "urd_Arab"),
    "vi": ("Vietnamese", "vie_Latn"), "yo": ("Yoruba", "yor_Latn"), "zh": ("Chinese", "zho_Hans"),
    "zu": ("Zulu", "zul_Latn"),
}  # fmt: skip


def language_name(code: str) -> str:
    """The English name of a language, or a topic without its kind; the code itself if it is not known here."""
    return LANGUAGES[code][0] if code in LANGUAGES else code.partition("=")[2] or code
