// What would tell who somebody is: numbers of persons, and a name after the word for it. Such a note is neither kept on this device nor sent. The
// service looks again (riskmodel.tables.identity); this looks a little harder, since what it lets through may lie on a lost phone.

const DATE = /\d{4}([-/.])\d{1,2}\1\d{1,2}(?!\d)/g;
const BETWEEN_DIGITS = /([0-9])[\s\-–—·]+(?=[0-9xX])/g;
const NUMBERS = [/(^|\D)\d{17}[\dXx](?!\d)/, /(^|\D)\d{15,19}(?!\d)/, /(^|\D)(\+?86)?1[3-9]\d{9}(?!\d)/];
const BEFORE = "户主|姓名|联系人|本人|负责人|帮扶人|家属|丈夫|妻子|配偶|儿子|女儿|父亲|母亲|名";
const DOUBLE = "欧阳|司徒|皇甫|诸葛|上官|慕容|司马|夏侯|东方|尉迟|公孙|令狐|长孙|宇文|轩辕|端木|独孤|南宫";
const NAMES = [
  new RegExp(`(${BEFORE})(姓名)?(\\s*(是|叫|为|名叫|:)\\s*|\\s+)(?![\\u4e00-\\u9fff]{1,2}[病症炎瘤癌压障疸痛热]($|[^\\u4e00-\\u9fff]))[\\u4e00-\\u9fff]{2,3}($|[^\\u4e00-\\u9fff])`),
  new RegExp(`(${BEFORE})(姓名)?(\\s*(是|叫|为|名叫|:)?\\s*)(${DOUBLE})[\\u4e00-\\u9fff]{1,2}`),
  new RegExp(`^(${DOUBLE})[\\u4e00-\\u9fff]{1,2}$`),
];

/** Whether a short text tells who somebody is. */
export function telling(text) {
  const plain = text.normalize("NFKC").replace(DATE, " 日 ").replace(BETWEEN_DIGITS, "$1").trim();
  return NUMBERS.some((pattern) => pattern.test(plain)) || NAMES.some((pattern) => pattern.test(plain));
}
