"""The words around an option that say what a reply does with it, in the languages that models answer in most. Pure.

Patterns that end in `$` look at what stands before an option, patterns for `match` at what stands after it.
"""

from __future__ import annotations

import regex

OPTION = (
    "options?|choices?|letters?|statements?|alternatives?|opción|opcion|opção|opcao|opzione|lettera|letra|lettre|"
    "buchstabe|möglichkeit|вариант|буква|选项|選項|項|선택지|보기|ตัวเลือก|ข้อ|विकल्प|الخيار|phương án|seçenek|pilihan"
)
JOINS = "and|or|und|oder|et|ou|y|o|e|и|или|和|或|与|や|と|または|및|또는|و|أو|और|या|và|hoặc|ve|veya|dan|atau"
CONNECTIVES = (
    "is|are|was|because|since|as|and|or|nor|not|but|for|due|with|weil|denn|ist|da|car|parce|est|porque|es|pues|è|"
    "perché|é|потому|так|vì|là|karena|çünkü"
)
"""Lower-case words that may follow a chosen letter; after others, "A" is an article."""

ANSWERS = (
    r"(?<!\p{L})(?:answers?|ans|solution|antwort|lösung|réponse|reponse|respuesta|solución|risposta|soluzione|"
    r"resposta|solução|antwoord|svaret|svar|vastaus|odpowiedź|odpověď|răspuns(?:ul)?|jawaban|jibu|cevap|yanıt|"
    r"đáp án|câu trả lời|απάντηση|ответ|відповідь|отговор)(?!\p{L})"
    r"|答案|答え|答|回答|解答|正解|정답|답변|답|الإجابة|إجابة|الجواب|جواب|תשובה|उत्तर|উত্তর|பதில்|సమాధానం|คำตอบ"
    r"|(?<!\p{L})(?:final|my|best|correct|right|chosen|proper) "
    r"(?:option|choice|letter|one|pick|selection|decision|statement)(?!\p{L})"
    r"|(?<!\p{L})(?:correct|final|result|selection|choice)(?=\s*[:：])|(?<!\p{L})(?:best|correct|right) is(?!\p{L})"
    r"|(?<!\p{L})(?:opción|opcion|opção|alternativa|opzione|option) (?:correcta|correta|corretta|correcte)(?!\p{L})"
    r"|(?<!\p{L})(?:верный|правильный) вариант(?!\p{L})"
)
_FILLERS = (
    r"(?:is|are|was|be|will|would|should|must|could|has|have|seems|likely|probably|definitely|clearly|therefore|thus|"
    r"hence|to|for|the|this|that|it|question|problem|number|option|choice|letter|statement|correct|right|best|final|"
    r"one|most|given|here|only|ist|lautet|wäre|die|der|das|richtige|korrekte|buchstabe|est|sera|serait|la|le|lettre|"
    r"correcte|bonne|juste|es|sería|opción|opcion|correcta|letra|è|é|sarebbe|l'opzione|opzione|lettera|corretta|"
    r"giusta|a opção|opção|correta|certa|это|буква|вариант|правильный|верный|является|final|doğru|là|đúng|adalah|"
    r"yang|benar|هي|هو|الصحيحة|الصحيح|النهائية|النهائي|الخيار|सही|विकल्प|है)(?!\p{L})"
    r"|[是为為应應该該选選项項题題の：はがわも은는이가]|正しい|คือ|ข้อ|ที่ถูกต้อง|보기|\d{1,3}"
)
_GLUE = r"[\s:：=\-–—→>*_\"'“”‘’«»「『()\[（【{<#|,.]"
_TAIL = rf"(?:{_GLUE}|{_FILLERS}){{0,16}}"
ANSWER_BEFORE = regex.compile(
    rf"(?:{ANSWERS}){_TAIL}$|(?:{ANSWERS})\s*(?::|(?:is|ist|est|es|è|é)(?!\p{{L}}))[^.!?\n;:]{{1,60}}[(\[（]\s*$",
    regex.IGNORECASE,
)

_OPENING = rf"(?:[\s\"'“‘«「『(\[（【{{<]|(?:the|be|also|la|le|l'|die|das|{OPTION})(?!\p{{Latin}})){{0,8}}"
NOT_BEFORE = regex.compile(
    r"(?:(?<!\p{L})(?:not|cannot|never|neither|nor|none of|rather than|instead of|other than|better than|unlike|except|"
    r"excluding|excludes?|excluded|eliminat\w+|rul\w+ out|reject\w*|discard\w*|between|"
    r"nicht|kein\w*|weder|noch|zwischen|"
    r"statt|pas|ni|entre|no|no es|no la|non|non è|não|não é|не|ни|нет|bukan|không phải)|n['’]t"
    rf"|不是|并非|並非|而非|不选|不選|排除|除了){_OPENING}$",
    regex.IGNORECASE,
)
CHOSEN_BEFORE = regex.compile(
    r"(?:(?<!\p{L})(?:choose|chose|choosing|pick|picked|select|selected|go with|going with|went with|opt for|vote for|"
    r"i say|i['’]d say|my guess is|guess|it['’]s|it is|it must be|that['’]s|must be|should be|has to be|leaves|leaving|"
    r"only|but|but rather|sondern|sino|wähle|nehme|choisis|elijo|elegiría|scelgo|escolho|выбираю|chọn|pilih|seçiyorum)"
    rf"|故选|故選|选择|選擇|應選|应选|选|選|而是|因此是|所以是){_OPENING}$",
    regex.IGNORECASE,
)
CONCLUDED_BEFORE = regex.compile(
    r"(?:(?<!\p{L})(?:so|thus|hence|therefore|then|conclude|think|believe|mean|means|daher|also|donc|entonces|"
    r"por lo tanto|quindi|portanto|logo|значит|поэтому|следовательно)"
    rf"|所以|因此|よって|したがって|따라서|그러므로|→|->|=>)[\s,:]*{_OPENING}$",
    regex.IGNORECASE,
)
"""A choice only where the sentence ends with the option."""

_CLOSING = r"[\s)\]}>\"'”’»」』】）]*"
_ABOUT = r"(?:\([^()\n]{0,60}\)\s*)?"
_WRONG = (
    r"(?:wrong|incorrect|false|invalid|untrue|impossible|irrelevant|unlikely|out|eliminated|excluded|ruled out|falsch|"
    r"inkorrekt|faux|fausse|incorrecte?|incorrecta|falsa|errónea|sbagliata|errata|incorreta|errada|неверн\w*|"
    r"неправильн\w*|yanlış|salah)(?!\p{L})|错|錯|不正确|不正確|不对|不對|誤|間違|不正解|오답|틀|아니|아닙|خطأ|خاطئ|गलत"
)
_IS = r"(?:is|are|was|were|be|seems?|ist|sind|est|sont|es|son|è|sono|é|são|是)"
_NOT = (
    r"(?:is|are|was|were|does|do|can|could|would)n['’]t|cannot|can not|is ruled|ist nicht|n['’]est pas|no es|non è|"
    r"não é|不是"
)
WRONG_AFTER = regex.compile(
    rf"{_CLOSING}{_ABOUT}(?:(?:{_NOT})|{_IS}\s+(?:\w+\s+){{0,2}}?(?:not(?!\p{{L}})|nicht|{_WRONG})"
    rf"|[:：]?\s*(?:{_WRONG}))",
    regex.IGNORECASE,
)
_TEXT = r"(?:(?!\b(?:because|since|others?|rest|remaining|all|while|but|and|not)\b)[^.!?。！？\n;；]){0,80}?"
WRONG_ITEM = regex.compile(
    rf"[)\].:：\s]*{_TEXT}(?:(?<!\p{{L}})(?:{_NOT}|{_IS}\s+(?:\w+\s+)?not(?!\p{{L}}))"
    rf"|(?<!\p{{L}}){_WRONG}|[:：,–-]\s*no(?!\p{{L}}))",
    regex.IGNORECASE,
)
_RIGHT = (
    r"(?:correct|right|true|accurate|appropriate|valid|best|the answer|answer|richtig|korrekt|correcte?|juste|correcta|"
    r"verdadera|corretta|giusta|correta|certa|doğru|benar)(?!\p{L})|верн|правильн|正确|正確|正しい|正解|对的|對的|"
    r"정답|맞|صحيح|الصحيح|सही"
)
_SURE = r"(?:the|a|most|clearly|definitely|indeed|also|die|la|le|el|il|o|a|más|plus|più|bonne|only|really|probably)\s+"
RIGHT_AFTER = regex.compile(
    rf"{_CLOSING}{_ABOUT}(?:(?:is|are|was|would be|must be|should be|has to be|seems|looks|"
    rf"ist|wäre|est|serait|es|sería|è|é|—|-)\s*"
    rf"(?:{_SURE}){{0,3}}|[:：]\s*|[是为為がはのこそ이가은는\s]*)(?:{_RIGHT})",
    regex.IGNORECASE,
)
RIGHT_ITEM = regex.compile(
    rf"[)\].:：\s]*{_TEXT}(?:(?<!\p{{L}})(?:is|was|would be|ist|est|es|è|é)\s+(?:{_SURE}){{0,3}}(?:{_RIGHT})"
    rf"|[:：,–-]\s*(?:yes(?!\p{{L}})|{_RIGHT})|[✓✔✅])",
    regex.IGNORECASE,
)
QUESTION_AFTER = regex.compile(rf"{_CLOSING}[?？]")
ENDS_AFTER = regex.compile(r"[\s)\]}>\"'”’»」』】）.!。]*$")
CORRECTION = regex.compile(
    r"(?<!\p{L})(?:wait|actually|correction|scratch that|on second thoughts?|no, (?:it|the|that)|"
    r"let me (?:re\w+|correct))(?!\p{L})"
    r"|更正|不对[,，]|等等",
    regex.IGNORECASE,
)
BEGINS_AFTER = regex.compile(
    rf"[)\]}}>\"'”’»」』】）]*(?:\s*$|\s*\n|\s*[.,:;：，。—–-]|[)\]]|\s+(?!\p{{Ll}})"
    rf"|\s+(?!(?:is|are|was)(?!\p{{L}}))(?:{CONNECTIVES})(?!\p{{L}}))"
)
"""After the letter that a reply begins with: its end, a stop, a reason, or the option's text."""
ARTICLE_AFTER = regex.compile(rf"\s+(?!(?:{CONNECTIVES})(?!\p{{L}}))\p{{Ll}}")
