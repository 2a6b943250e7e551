"""Which language a text is written in: by script, and within a script by its everyday words.

Leaves out training: the lists are short, so a text below a sentence or two is often not
recognized, near relatives (Norwegian and Danish, Serbian and Macedonian) are not told apart
reliably, and text in several languages gets the one with the most everyday words.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

SCRIPT_LANGUAGE = {
    "KANNADA": "kn",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "TELUGU": "te",
    "TAMIL": "ta",
    "BENGALI": "bn",
    "MALAYALAM": "ml",
    "THAI": "th",
    "HANGUL": "ko",
    "HEBREW": "he",
    "GREEK": "el",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
}
"""Scripts in which one language is far the commonest; Assamese counts as Bengali, Yiddish as Hebrew."""

DEVANAGARI = {
    "hi": """
        है हैं में और के की का से को पर यह वह था थी थे नहीं एक भी लिए हम आप मैं कर रहा रही रहे
        जो तो ने इस कि हो अपने साथ किया ये क्या कुछ या गया सकते
    """,
    "mr": """
        आहे आहेत आणि मध्ये च्या चा ची चे ला होते होता होती नाही एक मी तो ती ते हे हा ही या त्या
        आपण तुम्ही करा करू साठी त्यांच्या आपल्या माझ्या असे केले किंवा काही पण तर त्याच्या आम्ही
        झाले
    """,
    "ne": """
        छ छन् हो र मा को का की लाई ले पनि छैन थियो थिए यो त्यो हामी तपाईं तपाई म गर्न भएको गर्ने
        गर्नुहोस् हरू तर भने लागि हुन्छ हाम्रो मेरो आफ्नो एक साथ गरेको हुन् कि सबै यस
    """,
}
CYRILLIC = {
    "ru": """
        и в не на что он с как это по но к у из за то все она так его от меня мы вы ты я они мне
        же бы для был быть если или ещё когда который чтобы
    """,
    "bg": """
        и на да се в е за не от са с по че като си но ще ги му съм беше или аз ние вие те той тя
        това който които има може при до още както са ми ви
    """,
    "uk": """
        і в не на що він з як це та до у за я ми ви ти вони його від але для був є або якщо ще
        коли який щоб також
    """,
    "mk": """
        и на да се во е за не од со по дека како си но ќе ги му сум беше или јас ние вие тие тој
        таа ова кој има може
    """,
    "sr": """
        и на да се у је за не од са по што као си али ће их му сам био или ја ми ви они он она
        ово који има може су
    """,
}
ARABIC = {
    "ar": """
        في من على إلى أن هذا هذه التي الذي كان لا ما هو هي مع عن أو كل ثم إذا لم قد بعد كما أنا
        نحن أنت ذلك كنت إن
    """,
    "fa": """
        و در به از که این را با است برای آن یک خود تا کرد بر هم نیز شد می ما شما من او ها های
        اند باشد بود اگر یا هر
    """,
    "ur": """
        کے کی کا میں ہے اور سے کو پر نے ہیں یہ وہ ایک بھی نہیں تھا تھی ہم آپ کر جو تو کہ اس ان
        ہو گیا لیے ساتھ اپنے
    """,
}
LATIN = {
    "en": """
        the of and to in is that for it you with on as are be this was at by have not from or an
        your we can will they their but has if all more i he she my so what when there do them
        his her our which would who about a could should each some any up out no how into than
        then make also other only one two time plan include using use new good see list just
        like been
    """,
    "de": """
        der die das und ist nicht ein eine zu den mit sich auf für von dem ich sie es im wir du
        auch an als wie wird werden oder aber bei nach um aus haben sind einer einen durch kann
        dass noch mein unser ihr
    """,
    "it": """
        il di che è e la un una per non in con sono del della le i gli si come da più ma anche
        nel al alla mi ti ci questo questa ho hai ha dei delle se o io tu loro tutto perché
        essere può
    """,
    "pt": """
        o de que e a do da em um uma para não com os as por mais como mas ao dos das se na no é
        são foi ele ela eu você nós seu sua ou quando muito também já está pela pelo isso meu
        minha ser
    """,
    "es": """
        el de que y la en un una para no con los las por más como pero al del se lo es son fue
        él ella yo tú su sus o cuando muy también ya está esto mi ser hay si le desde todo
        porque
    """,
    "fr": """
        le de que et la en un une pour ne pas avec les des par plus comme mais au du se ce est
        sont il elle je vous nous son sa ses ou dans sur qui aux cette leur être très été tout
        votre
    """,
    "nl": """
        de het een en van is in dat op te zijn met voor niet aan er om ook als bij maar of door
        naar uit je ik wij ze hij dit die nog wordt worden kan heeft hebben wat onze mijn
    """,
    "sv": """
        och att det i en som är på av för med den till inte har de ett om jag du vi kan men från
        så var eller ska när också din min vara hon han sig
    """,
    "da": """
        og at det i en som er på af for med den til ikke har de et om jeg du vi kan men fra så
        var eller skal når også din min være hun han sig blev
    """,
    "fi": """
        ja on ei se että oli ovat hän mutta kun niin joka myös tai jos kuin mitä minä sinä me he
        olen olet olla sen tämä nyt vain sitten ole voi voit mukaan kanssa kaikki sekä minun
        hänen koska ne vielä
    """,
    "sw": """
        ya na wa kwa ni katika za la kuwa hii cha kama yake huo sana hiyo wake pia ambayo lakini
        au hivyo yangu wangu mimi wewe yeye sisi watu hapa kila moja ili bila baada kuna nini
        nchi zaidi si alikuwa vya yetu hili huu mtu
    """,
    "vi": """
        và của là có cho không được trong với các những một người để này khi đã đến về từ tôi
        bạn chúng ta như cũng sẽ ra vào nhiều nhưng nếu hay đó thì rất phải trên bởi làm em anh
        cô nó
    """,
    "id": """
        yang dan di dengan untuk ini itu dari dalam tidak pada adalah akan ke saya anda kita
        mereka juga atau karena oleh sebagai ada bisa dapat telah lebih seperti
    """,
    "tr": """
        ve bir bu için ile da de çok ne daha gibi olan olarak ama ben sen biz siz o var yok
        kadar sonra her şey mi
    """,
    "pl": "i w nie na się że z do to jest jak za po ale od o co tak był czy są dla tym przez być może już",
    "ro": """
        și de în a la cu nu un o pe este că din pentru sunt mai ca se sau dar am ai fi această
        acest după când
    """,
    "tl": """
        ang ng sa na at mga ay ko mo ito si para hindi kung may niya ako ikaw siya namin natin
        isang upang
    """,
}
SCRIPT_WORDS: Mapping[str, Mapping[str, str]] = {
    "DEVANAGARI": DEVANAGARI,
    "CYRILLIC": CYRILLIC,
    "ARABIC": ARABIC,
    "LATIN": LATIN,
}
LETTER_HINTS = {
    "CYRILLIC": {"ru": "ыэё", "bg": "ъщ", "uk": "іїєґ", "mk": "ѓќѕ", "sr": "ђћ"},
    "ARABIC": {"ur": "ٹڈڑںےہھ", "fa": "پچژگ", "ar": "ةىأإ"},
    "LATIN": {"vi": "ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹđơư", "de": "ß", "pt": "ãõ", "es": "ñ¿¡"},
}
"""Letters that few neighbors use; each counts as a third of an everyday word."""
HINT_WEIGHT = 1 / 3
UNKNOWN = "und"
"""What a text in Latin letters gets that holds none of the everyday words."""


def detect_language(text: str) -> str | None:
    """ISO 639-1 code of the language most of `text` is in; None without letters, "und" where nothing tells.

    The script with the most letters decides; among languages of one script the one whose
    everyday words fill most of the text. A tie, and other scripts than Latin without a
    known word, give the language first in the list.
    """
    script = main_script(text)
    if script is None:
        return None
    if script in SCRIPT_LANGUAGE:
        return SCRIPT_LANGUAGE[script]
    if script == "CJK":
        return "ja" if re.search(r"[\u3040-\u30ff]", text) else "zh"
    if script not in SCRIPT_WORDS:
        return UNKNOWN
    lowered = unicodedata.normalize("NFC", text).lower()
    words = Counter(_words(lowered))
    letters = Counter(lowered)
    scores = {
        language: sum(words[word] for word in set(known.split()))
        + HINT_WEIGHT * sum(letters[letter] for letter in LETTER_HINTS.get(script, {}).get(language, ""))
        for language, known in SCRIPT_WORDS[script].items()
    }
    best = max(scores, key=lambda language: scores[language])
    return best if scores[best] > 0 or script != "LATIN" else UNKNOWN


def _words(text: str) -> list[str]:
    """Runs of letters and the marks upon them; `\\w` alone would cut Indic words at their vowels."""
    return re.findall(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0900-\u0903\u093a-\u094f\u064b-\u0652])*", text)


def main_script(text: str) -> str | None:
    """Unicode's name of the script most letters of `text` are in; None without letters."""
    scripts: Counter[str] = Counter()
    for letter, count in Counter(text).items():
        if letter.isalpha():
            scripts[unicodedata.name(letter, "UNKNOWN").split()[0]] += count
    if not scripts:
        return None
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if kana and scripts["CJK"] + kana > sum(scripts.values()) / 2:
        return "HIRAGANA"
    return scripts.most_common(1)[0][0]
