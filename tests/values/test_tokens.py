"""Sizes: what token estimates are made from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.values.message import Message, ToolCall, messages_size, messages_tokens
from victor_dsl.values.tokens import (
    AUDIO_TOKENS,
    FILE_TOKENS,
    IMAGE_TOKENS,
    LOW_DETAIL_IMAGE_TOKENS,
    Size,
    estimated_tokens,
    first_tokens,
    text_size,
    text_tokens,
)
from victor_dsl.values.tool import Tool, tools_size

CALLS = st.lists(st.builds(ToolCall, st.just("c"), st.text(max_size=9), st.text(max_size=20)), max_size=2).map(tuple)
CONTENT = (
    st.none()
    | st.text(st.characters(), max_size=50)
    | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=9)}), max_size=2).map(tuple)
)
MESSAGES = st.lists(st.builds(Message, st.just("assistant"), CONTENT, CALLS), max_size=8)


@given(MESSAGES)
def test_a_size_has_the_stated_tokens(messages: list[Message]) -> None:
    size = messages_size(messages)
    assert size.stated == size.counted == messages_tokens(messages)
    assert size.whole


@given(MESSAGES, MESSAGES)
def test_the_size_of_all_is_the_sum_of_the_sizes(first: list[Message], then: list[Message]) -> None:
    assert messages_size(first) + messages_size(then) == messages_size(first + then)


def test_the_extra_tells_scripts_apart() -> None:
    texts = ("Hello", "Grüße, 5 €", "Привет", "שלום", "नमस्ते", "你好", "안녕", "🙂", "Wie? Привет, 你好!")
    assert [text_size(text).extra for text in texts] == [0, 0, 12, 20, 36, 16, 18, 20, 28]


def test_half_a_surrogate_pair_has_a_size() -> None:
    assert text_size("\ud800") == Size(1, 1, 9)


def test_a_tokenizer_counts_in_the_place_of_the_rule() -> None:
    messages = [Message("user", "one two three"), Message("assistant", None, (ToolCall("c", "go", '{"to": "你好"}'),))]
    words = messages_size(messages, lambda text: len(text.split()))
    assert (words.counted, words.extra, words.stated) == (3 + 4 + 2 + 4, 0, messages_tokens(messages))


def test_tools_are_sized_by_their_definitions() -> None:
    tools = [Tool("look_up", "Looks up an order.", {"type": "object"}), Tool("go", "去", {})]
    assert tools_size(tools) == Size(sum(tool.tokens for tool in tools), sum(tool.tokens for tool in tools), 8)


def test_what_is_no_text_is_not_whole() -> None:
    seen = Message("user", ({"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "This?"}))
    size = messages_size([seen, Message("user", "Well?")])
    tokens = text_tokens("This?") + text_tokens("Well?") + 8 + IMAGE_TOKENS
    assert size == Size(tokens, tokens, 0, False)
    assert messages_size([seen], lambda text: 7) == Size(seen.tokens, 7 + 4 + IMAGE_TOKENS, 0, False)


PICTURE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}
PNG = "data:image/png;base64,iVBORw0KGgo="
PARTS: dict[str, tuple[dict[str, Any], int]] = {
    "an image": ({"type": "image_url", "image_url": {"url": PNG}}, IMAGE_TOKENS),
    "a large image behind a URL": (
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "high"}},
        IMAGE_TOKENS,
    ),
    "an image of low detail": (
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        LOW_DETAIL_IMAGE_TOKENS,
    ),
    "an image of the Responses API": ({"type": "input_image", "image_url": PNG, "detail": "low"}, 85),
    "a recording": ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, AUDIO_TOKENS),
    "a file": ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}, FILE_TOKENS),
    "text": ({"type": "text", "text": "12345678"}, 2),
    "a type that is not known": ({"type": "hologram"}, 0),
    "no type": ({}, 0),
    "a type that is no text": ({"type": ["image_url"]}, 0),
}


@pytest.mark.parametrize(("part", "tokens"), PARTS.values(), ids=list(PARTS))
def test_a_part_costs_a_flat_sum_by_its_type(part: dict[str, Any], tokens: int) -> None:
    assert Message("user", (part,)).tokens == tokens + 4
    assert Message("user", (part, {"type": "text", "text": ""}, PICTURE)).tokens >= tokens + 4 + IMAGE_TOKENS


@given(st.text(st.characters(max_codepoint=0x24F)))
def test_a_text_in_latin_letters_costs_a_quarter_token_a_character_everywhere(text: str) -> None:
    assert estimated_tokens(text) == text_tokens(text) == -(-len(text) // 4)


@given(st.text(st.characters()), st.integers(0, 40))
def test_the_first_tokens_of_a_text_are_as_many_as_fit(text: str, most: int) -> None:
    first = first_tokens(text, most)
    assert text.startswith(first)
    assert estimated_tokens(first) <= most
    assert first == text or estimated_tokens(text[: len(first) + 1]) > most


COUNTED: dict[str, tuple[str, tuple[int, int]]] = {
    "Chinese": (
        "请您先确认我的订单，然后告诉我包裹什么时候能送到办公室。如果路上有延误，请尽快给我发一封邮件说明原因，谢谢。",  # noqa: RUF001
        (36, 61),
    ),
    "Japanese": (
        "注文の内容を確認して、荷物がいつ事務所に届くか教えてください。遅れる場合は、理由をメールで早めに知らせていただけると助かります。",
        (45, 58),
    ),
    "Korean": (
        "제 주문을 먼저 확인하고 소포가 언제 사무실에 도착하는지 알려 주세요. 배송이 늦어지면 그 이유를 이메일로 빨리 보내 주시면 고맙겠습니다.",
        (43, 83),
    ),
    "Thai": (
        "กรุณาตรวจสอบคำสั่งซื้อของฉันก่อน แล้วแจ้งว่าพัสดุจะมาถึงสำนักงานเมื่อใด หากการจัดส่งล่าช้า โปรดส่งอีเมลอธิบายสาเหตุโดยเร็ว ขอบคุณค่ะ",
        (57, 125),
    ),
    "Arabic": (
        "يرجى التحقق من طلبي أولاً، ثم إخباري متى ستصل الطرود إلى المكتب. إذا تأخر التسليم فأرجو إرسال رسالة بريد إلكتروني توضح السبب في أقرب وقت، وشكراً.",
        (50, 97),
    ),
    "Hebrew": (
        "אנא בדקו תחילה את ההזמנה שלי, ואחר כך כתבו לי מתי תגיע החבילה למשרד. אם יש עיכוב במשלוח, אשמח לקבל בהקדם הודעה שמסבירה את הסיבה. תודה רבה.",
        (56, 102),
    ),
    "Hindi": (
        "कृपया पहले मेरा ऑर्डर जाँचें और फिर बताएँ कि पार्सल कार्यालय में कब पहुँचेगा। अगर डिलीवरी में देर हो, तो कारण बताते हुए जल्दी से एक ईमेल भेज दें, धन्यवाद।",
        (49, 111),
    ),
    "Greek": (
        "Παρακαλώ ελέγξτε πρώτα την παραγγελία μου και πείτε μου πότε θα φτάσει το δέμα στο γραφείο. Αν υπάρχει καθυστέρηση, στείλτε μου σύντομα ένα μήνυμα με την αιτία. Ευχαριστώ.",  # noqa: RUF001
        (64, 115),
    ),
    "Russian": (
        "Пожалуйста, сначала проверьте мой заказ, а потом напишите, когда посылка придёт в офис. Если доставка задержится, пришлите, пожалуйста, письмо с объяснением причины. Спасибо.",  # noqa: RUF001
        (45, 78),
    ),
    "Ukrainian": (
        "Будь ласка, спершу перевірте моє замовлення, а потім напишіть, коли посилка прибуде до офісу. Якщо доставка затримається, надішліть листа з поясненням причини. Дякую.",  # noqa: RUF001
        (59, 73),
    ),
    "Vietnamese": (
        "Vui lòng kiểm tra đơn hàng của tôi trước, rồi cho tôi biết khi nào bưu kiện sẽ đến văn phòng. Nếu giao hàng bị trễ, hãy sớm gửi cho tôi một email giải thích lý do, cảm ơn.",
        (49, 103),
    ),
    "Tamil": (
        "முதலில் என் ஆர்டரைச் சரிபார்த்து, பொதி எப்போது அலுவலகத்திற்கு வரும் என்று சொல்லுங்கள். தாமதம் ஏற்பட்டால் காரணத்தை விரைவில் மின்னஞ்சலில் அனுப்புங்கள், நன்றி.",
        (48, 126),
    ),
    "Georgian": (
        "გთხოვთ, ჯერ შეამოწმოთ ჩემი შეკვეთა და შემდეგ მითხრათ, როდის მოვა ამანათი ოფისში. თუ მიწოდება დაიგვიანებს, მალე მომწერეთ მიზეზი, გმადლობთ.",
        (54, 110),
    ),
    "emoji": ("😀🎉🔥👍🙏🚀💡😊📦🛒🏠🚗🐶🍕⚽🎸🤔😎🥳🤖🌍🌈🍀🎯🧩🪴🧠🦾", (56, 79)),
}
"""One request in several languages, and its tokens by o200k_base and by Claude, which takes about the most."""


@pytest.mark.parametrize(("text", "counted"), COUNTED.values(), ids=list(COUNTED))
def test_other_scripts_cost_about_what_tokenizers_take(text: str, counted: tuple[int, int]) -> None:
    least, most = counted
    assert 0.7 * most <= estimated_tokens(text) <= 1.3 * most
    assert estimated_tokens(text) >= least
