"""The detector on a few sentences of every language IFEval asks for, and on what it cannot tell."""

import pytest

from accord.evaluation.suites.languages import UNKNOWN, detect_language

SENTENCES = {
    "en": "The children went to the park with their teacher, and they had a good time.",
    "de": "Die Kinder sind mit der Lehrerin in den Park gegangen und haben sich sehr gefreut.",
    "it": "I bambini sono andati al parco con la maestra e si sono divertiti molto.",
    "pt": "As crianças foram ao parque com a professora e não queriam voltar para casa.",
    "es": "Los niños fueron al parque con la maestra y no querían volver a casa.",
    "fr": "Les enfants sont allés au parc avec la maîtresse et ils ne voulaient pas rentrer.",
    "fi": "Lapset menivät puistoon opettajan kanssa ja he olivat hyvin iloisia, koska oli kesä.",
    "sw": "Watoto walikwenda kwenye bustani na mwalimu wao na walifurahi sana kwa sababu ya hali ya hewa.",
    "vi": "Các em nhỏ đã đi đến công viên với cô giáo và rất vui vẻ.",
    "hi": "बच्चे अपने शिक्षक के साथ पार्क में गए और वे बहुत खुश थे।",
    "mr": "मुले त्यांच्या शिक्षकांसोबत उद्यानात गेली आणि ती खूप आनंदी होती.",
    "ne": "बच्चाहरू आफ्नो शिक्षकसँग पार्कमा गए र उनीहरू धेरै खुसी थिए। यो राम्रो दिन हो।",
    "ru": "Дети пошли в парк с учительницей, и они были очень рады, что была хорошая погода.",
    "bg": "Децата отидоха в парка с учителката и те бяха много щастливи, защото времето е хубаво.",
    "ar": "ذهب الأطفال إلى الحديقة مع المعلمة وكانوا سعداء في هذا اليوم.",
    "fa": "بچه‌ها با معلم خود به پارک رفتند و از این روز بسیار خوشحال بودند.",
    "ur": "بچے اپنی استانی کے ساتھ پارک میں گئے اور وہ بہت خوش تھے۔",
    "kn": "ಮಕ್ಕಳು ಉದ್ಯಾನವನಕ್ಕೆ ಹೋದರು.",
    "gu": "બાળકો બગીચામાં ગયા.",
    "pa": "ਬੱਚੇ ਪਾਰਕ ਵਿੱਚ ਗਏ।",
    "te": "పిల్లలు ఉద్యానవనానికి వెళ్లారు.",
    "ta": "குழந்தைகள் பூங்காவிற்குச் சென்றனர்.",
    "bn": "শিশুরা পার্কে গিয়েছিল।",
    "th": "เด็กๆไปสวนสาธารณะ",
    "ko": "아이들은 공원에 갔습니다.",
    "ja": "子供たちは公園に行きました。",
    "zh": "孩子们和老师一起去了公园。",
}


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_a_sentence_is_recognized(language):
    assert detect_language(SENTENCES[language]) == language


def test_case_does_not_matter():
    assert detect_language(SENTENCES["en"].upper()) == "en"
    assert detect_language(SENTENCES["ru"].upper()) == "ru"


def test_foreign_names_do_not_turn_a_text():
    assert detect_language(SENTENCES["hi"] + " Park (New York)") == "hi"


def test_what_cannot_be_told():
    assert detect_language("123 !?") is None
    assert detect_language("") is None
    assert detect_language("xqzt brrk") == UNKNOWN
    assert detect_language("Ⴀ Ⴁ Ⴂ") == UNKNOWN
