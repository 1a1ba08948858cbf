#include "credit/chinese.h"

#include <string.h>

#include "base/mem.h"
#include "credit/rules.h"

enum {
    PARTS_MAX = 6,
    DEPTH_MAX = 4,       /* a file's name: what failed: why */
    TEXT_LEN_MAX = 1024, /* longer ones are no sentence */
};

/* A text is that of the first row that fits all of it; each English one stands
 * in the sources like this (tests/unit/credit/test_chinese.c). */
static const struct chinese_text texts[] = {
    /* what an operating system says */
    {"No such file or directory", "没有这个文件或目录"},
    {"Permission denied", "没有权限"},
    {"Connection refused", "连接被拒绝"},
    {"Connection reset by peer", "连接被对方中断"},
    {"Is a directory", "这是一个目录"},
    {"Not a directory", "不是目录"},
    {"No space left on device", "磁盘空间不足"},
    {"Read-only file system", "文件系统只读"},
    {"Input/output error", "读写错误"},
    {"Too many open files", "打开的文件过多"},
    {"File name too long", "文件名过长"},
    {"Broken pipe", "管道已关闭"},

    /* errors by themselves: base/err.def */
    {"invalid input", "输入有误"},
    {"larger than the limit", "超出上限"},
    {"not found", "未找到"},
    {"exists already", "已存在"},
    {"not permitted", "不允许"},
    {"queue full, try again", "队列已满，请重试"},
    {"differs from what is stored", "与已存内容不同"},
    {"log is forked", "日志已分叉"},
    {"proof does not fit", "证明不符"},
    {"signature does not fit", "签名不符"},
    {"not supported by this build", "本版本不支持"},
    {"cancelled", "已取消"},
    {"deadline passed", "超过时限"},
    {"not reachable now", "目前无法连通"},
    {"another process of this node writes", "由本节点的另一进程写入"},
    {"no space or read-only disk", "磁盘已满或只读"},
    {"outcome unknown, read back", "结果不明，请查询确认"},
    {"input/output error", "读写错误"},
    {"stored data is damaged", "存储的数据已损坏"},
    {"configuration is wrong", "配置有误"},
    {"sealed, no key here", "已加密，本节点没有密钥"},
    {"internal error", "程序内部错误"},

    /* talking to the node */
    {"%: %; is the node running (creditnode serve) with this configuration?",
     "$1：%2；节点是否正在按此配置运行（creditnode serve）？"},
    {"%: %; run this as root, or as the node's user: runuser -u creditnode -- "
     "creditnode ...",
     "$1：%2；请以 root 或节点用户的身份运行："
     "runuser -u creditnode -- creditnode …"},
    {"no usable configuration; name one by -c FILE",
     "没有可用的配置；请用 -c 文件 指明"},
    {"the node closed the connection before it answered; see creditnode status "
     "and the node's log, and try again",
     "节点未答复即关闭了连接；请查看 creditnode status 和节点日志后重试"},
    {"the node ended the connection (%)", "节点中断了连接（%1）"},
    {"the node ended the connection; try again", "节点中断了连接，请重试"},
    {"the node ended the call; try again", "节点中断了调用，请重试"},
    {"this process (%) stands by: % at % writes",
     "本进程（$1）待命：由 $2（$3）写入，请在该处执行"},
    {"this process (%) stands by: none writes now",
     "本进程（$1）待命：目前没有进程写入，请稍后重试"},
    {"standard output: %; what the command was to do is done",
     "标准输出：%1；命令本身已执行"},

    /* options and arguments */
    {"no command '%'", "没有命令“$1”"},
    {"% '%': %", "$1 “$2”：%3"},
    {"write zh or en", "请写 zh 或 en"},
    {"write a whole number", "请写整数"},
    {"write active, closed, pulling or forked",
     "请写 active、closed、pulling 或 forked"},
    {"so many are not taken; write a configuration",
     "数量过多；请写入配置文件"},
    {"wrong option or value", "选项或其值有误"},
    {"wrong option, value or argument", "选项、其值或参数有误"},
    {"unknown option or argument", "选项或参数有误"},
    {"it takes no argument", "此命令不带参数"},
    {"--metrics and --json: one of them", "--metrics 与 --json 只能选一个"},
    {"name files, or --stdin and no file", "请指明文件，或只用 --stdin"},
    {"name a subject, or a place by --log and --number",
     "请指明主体，或用 --log 和 --number 指明位置"},
    {"name one file: a credit code a line, or a table",
     "请指明一个文件：每行一个统一社会信用代码，或一张表"},
    {"name one listing, LOG#NUMBER, as check shows it",
     "请指明一条列入，形如 日志#编号，见 check 的输出"},
    {"name one kind, or none", "只能指明一个类别，或不指明"},
    {"%: no such kind; see creditnode catalogue",
     "$1：没有该类别；请查看 creditnode catalogue"},
    {"say `status` or `schema TABLE`", "请写 status 或 schema 表名"},
    {"exchange.tables has no table %: add it first",
     "exchange.tables 中没有表 $1：请先添加"},
    {"this node has no exchange: see exchange.tables",
     "本节点没有前置库表：见 exchange.tables"},
    {"name usable configurations", "请指明可用的配置文件"},
    {"%: is there already; name another file", "$1：已存在；请换一个文件名"},

    /* the configuration */
    {"% still has the placeholder \"%\"; put in its place: %",
     "$1 仍是占位符“$2”，请填写：$3"},
    {"this line is not UTF-8; save the file as UTF-8 (not GBK)",
     "此行不是 UTF-8 编码；请把文件另存为 UTF-8（不是 GBK）"},
    {"% is not an option; did you mean %?", "没有 $1 这一项；是否想写 $2？"},
    {"% is missing; add % = %;  (%)", "$1：缺少此项；请添加 $2 = $3;（$4）"},

    /* files */
    {"%: is secret and readable by others (mode %); run: chmod 600 %",
     "$1：属机密，但其他用户可读（权限 $2）；请执行：chmod 600 $3"},
    {"%; the node's user must own it (chown), and this command must run as "
     "that user or as root",
     "%1；该文件须属于节点用户（chown），并以该用户或 root 身份运行本命令"},
    {"%: cannot %: %", "$1：无法访问：%3"},
    {"%: larger than % bytes", "$1：超过 $2 字节"},
    {"a folder; name the files in it, as in %/*.csv",
     "这是目录；请指明其中的文件，如 $1/*.csv"},
    {"the file is larger than ingest.file_max (% bytes)",
     "文件超过 ingest.file_max（$1 字节）"},
    {"larger than ingest.file_max (% bytes)",
     "超过 ingest.file_max（$1 字节）"},
    {"the file is larger than % bytes", "文件超过 $1 字节"},
    {"the file is UTF-16: save it as UTF-8 or GB18030",
     "文件是 UTF-16 编码：请另存为 UTF-8 或 GB18030"},
    {"the file is no text that can be read (UTF-16, or a spreadsheet's own "
     "format): save it as CSV, in UTF-8 or GB18030",
     "文件不是可读的文本（UTF-16 编码，或表格软件自有格式）："
     "请另存为 CSV，编码 UTF-8 或 GB18030"},
    {"this system cannot convert GB18030: save the file as UTF-8",
     "本系统无法转换 GB18030：请另存为 UTF-8"},
    {"no header: the file must name its columns, as in docs/catalogue.md",
     "没有表头：文件须写明各列名称，见 docs/catalogue.md"},
    {"line %: no header in the first % rows: the file must name its columns, "
     "as in docs/catalogue.md",
     "第 $1 行：前 $2 行中没有表头：文件须写明各列名称，"
     "见 docs/catalogue.md"},
    {"line %: %, before any header was found; is it CSV? A spreadsheet is to "
     "be saved as CSV",
     "第 $1 行：%2，且未找到表头；是 CSV 文件吗？表格软件的文件须另存为 CSV"},
    {"line %: the header (%, columns of %) lacks: %",
     "第 $1 行：表头（$2，$3 版数据项）缺少：$4"},
    {"line %: the header fits % alike: use one table's columns",
     "第 $1 行：表头同时符合%2：请只用一张表的数据项"},
    {"two kinds, such as licences (XK_) and penalties (CF_),",
     "两类，如行政许可（XK_）和行政处罚（CF_）"},
    {"listings (MD_) and removals (YC_)", "列入（MD_）和移出（YC_）"},
    {"column % \"%\" %", "第 $1 列“$2”%3"},
    {"is there already: not read", "重复，不读取"},
    {"is unknown: not read", "不是已知的数据项，不读取"},
    {"rows from line % on are not stored: %",
     "自第 $1 行起未保存：%2；重新导入不会重复"},
    {"% before the end of the file; send it again: rows that are in change "
     "nothing",
     "文件未收完，%1；请重新导入：已保存的行不会重复"},
    {"the node stops", "节点正在停止"},
    {"the sender went silent", "发送方没有响应"},
    {"the sender went silent before the end", "文件未收完，发送方没有响应"},
    {"this node's keys cannot be used: %", "本节点的密钥无法使用：%1"},
    {"line %: not JSON in UTF-8: %", "第 $1 行：不是 UTF-8 编码的 JSON：$2"},
    {"cannot open: %", "无法打开：%1"},
    {"not a regular file", "不是普通文件"},

    /* query, check, feedback */
    {"no unified social credit code", "不是统一社会信用代码"},
    {"no unified social credit code (%); an older number is given as "
     "COLUMN/NUMBER, such as ZZJG/742183213",
     "不是统一社会信用代码（%1）；旧号码写作 列名/号码，"
     "如 ZZJG/742183213"},
    {"18 characters", "应为 18 位"},
    {"a natural person's number is no subject to ask about",
     "不能用自然人证件号码查询"},
    {"this record of this subject: %", "该主体的这条记录：%1"},
    {"several owners use this key; name log and number",
     "有多个来源使用此记录键；请用 --log 和 --number 指明"},
    {"a record is named by subject and record key (32 hex digits), or by log "
     "and number",
     "记录以主体和记录键（32 位十六进制）指明，或以日志和编号指明"},
    {"no log of records; its form is ORIGIN/records/INCARNATION",
     "不是记录日志；形如 来源代码/records/标识"},
    {"entry % of % is no record", "日志 $2 第 $1 条不是记录"},
    {"entry % of %: no record for this asker",
     "日志 $2 第 $1 条：没有可供查询的记录"},
    {"% cannot be read now (%): ask again", "目前无法读取（%2）：请重试"},
    {"% cannot be read (%): creditnode status at this node and its log say why",
     "无法读取（%2）：请查看本节点的 creditnode status 和日志"},
    {"'%' is no listing: LOG#NUMBER, or the number in this node's own log",
     "“$1”不是列入：应为 日志#编号，或本节点日志中的编号"},
    {"no listing % in log '%' is known here", "本节点没有日志“$2”第 $1 条列入"},
    {"no such listing is known here", "本节点没有该列入"},
    {"outcome: applied, not-applicable or refused",
     "--outcome：请写 applied（已实施）、not-applicable（不适用）"
     "或 refused（未实施）"},
    {"measures: say which were applied, such as C01",
     "--measure：请写明所实施的措施，如 C01"},
    {"reason: say why nothing was done", "--reason：请说明未实施的理由"},
    {"day: of the check, yyyymmdd, not after today",
     "--day：核查日期，形如 20260302，不晚于当日"},
    {"day: of the check, within the last % days",
     "--day：核查日期，须在最近 $1 天内"},
    {"the store takes nothing now: %", "目前无法写入：%1"},
    {"the check could not be finished: %", "检查未能完成：%1"},

    /* directives */
    {"version % of the root document names no deciders for %, so nothing could "
     "be published here; % [no-issuer]",
     "根文件第 $1 版没有为 $2 指定决定人，因此不能在此发布；%3 [no-issuer]"},
    {"for this area decide: %", "本辖区由以下节点发布：$1"},
    {"no node above it decides", "其上级也没有发布节点"},
    {"no decision can be published: % of % rows were refused",
     "没有可发布的决定：$2 行中有 $1 行被拒绝"},
    {"more than % decisions: split the file, each part becomes a package",
     "超过 $1 条决定：请拆分文件，每份各成一包"},
    {"'%' is no listing that a removal could be of: LOG#NUMBER, as creditnode "
     "query shows it",
     "“$1”不是可移出的列入：应为 日志#编号，见 creditnode query"},
    {"this clock is % s % that of a neighbour (creditnode status): decisions "
     "bear its time, and while it is wrong lists are not known to be fresh "
     "below",
     "本机时钟比相邻节点%2 $1 秒（见 creditnode status）：决定以本机时间为准，"
     "时钟不准时下级无法确认名单是否最新"},
    {"behind", "慢"},
    {"ahead of", "快"},
    {"the store takes no package now (%); nothing was published: see "
     "creditnode status, then publish it again",
     "目前无法写入（%1），未发布任何内容：请查看 creditnode status 后重新发布"},
    {"the package was published already", "该包此前已发布"},
    {"a decision has more columns, or none of these is known",
     "决定的各列不全，或其中没有已知的列"},
    {"the package is of issuer % in federation %: publish it at that node",
     "该包属于联盟 $2 的发布节点 $1：请在该节点发布"},
    {"no directive has come here yet", "本节点尚未收到任何指令"},
    {"'%' is no directives log; see: creditnode directive lists",
     "“$1”不是指令日志；请查看 creditnode directive lists"},
    {"this node holds % entries of that log", "本节点持有该日志 $1 条"},
    {"say which by --log: %", "请用 --log 指明是哪个日志：$1"},
    {"'%' is no log of records: name it as creditnode logs does",
     "“$1”不是记录日志：请按 creditnode logs 所列填写"},
    {"this node holds nothing of that log: give --size and --root, as "
     "creditnode logs --json says at one that does",
     "本节点没有该日志：请给出 --size 和 --root，见持有该日志的节点的 "
     "creditnode logs --json"},
    {"a seal needs both: --size, a number, and --root, 64 hex digits",
     "封存须同时给出 --size（条数）和 --root（64 位十六进制）"},
    {"'%' is no node code of 12 digits", "“$1”不是 12 位节点代码"},
    {"what is in force cannot be read now: %", "目前无法读取现行名单：%1"},
    {"entry % of the package: % [%]", "包中第 $1 条：%2 [$3]"},
    {"entry % of the package: %", "包中第 $1 条：%2"},
    {"%: % / % [%]", "$1：$3 [$4]"},
    {"% restored this node, directive % of %: only it, or one above it, can "
     "revoke the node now",
     "$1 已恢复该节点（日志 $3 第 $2 条）：现在只有该机关或其上级可以撤销"},
    {"this node's own logs are still to come back from its parent: publish "
     "when they are here",
     "本节点自己的日志尚未从上级取回：取回后再发布"},
    {"%: the key is not one of suite %", "$1：该密钥不属于密码套件 $2"},
    {"the package cannot be shown; nothing was signed",
     "包的内容无法显示；未签名"},
    {"%: cannot be shown, and nobody signs what was not shown; nothing was "
     "signed",
     "$1：内容无法显示，未经显示不得签名；未签名"},
    {"nothing was signed, and nothing published: write yes when asked, or, in "
     "a program that knows what it decides, say --yes",
     "未签名，也未发布：询问时请输入 yes 或“是”；"
     "由程序调用且已明确内容时加 --yes"},
    {"say where to: -o FILE, --dry-run, or --key KEY --publish",
     "请指明去向：-o 文件、--dry-run 或 --key 密钥 --publish"},
    {"--key with --json is for programs, which nobody can ask: say --yes, or "
     "sign with directive sign",
     "--key 与 --json 同用时无法询问：请加 --yes，或用 directive sign 签名"},
    {"'%' must be COLUMN=VALUE", "“$1”应为 列名=值"},
    {"give the decision as COLUMN=VALUE, with the columns of "
     "docs/catalogue.md",
     "请以 列名=值 的形式写出决定，各列见 docs/catalogue.md"},
    {"--correct is for import; list-correct corrects one listing",
     "--correct 用于 import；更正一条列入请用 list-correct"},
    {"name one file: directive import FILE",
     "请指明一个文件：directive import 文件"},
    {"% was written by directive export: it is taken as it is signed, without "
     "these options",
     "$1 由 directive export 导出：按其签名原样接收，不带这些选项"},
    {"name the package: directive show FILE",
     "请指明包文件：directive show 文件"},
    {"name the package: directive publish FILE...",
     "请指明包文件：directive publish 文件…"},
    {"name the package and the key: directive sign FILE --key KEY",
     "请指明包文件和密钥：directive sign 文件 --key 密钥"},
    {"%: is not a copy of the package in %", "$1：与 $2 不是同一个包"},
    {"name one JSON file, see docs/catalogue.md",
     "请指明一个 JSON 文件，见 docs/catalogue.md"},
    {"name the node and why: directive node-revoke CODE --reason TEXT; "
     "node-move needs --to PARENT as well",
     "请指明节点和理由：directive node-revoke 代码 --reason 理由；"
     "node-move 还须 --to 新上级"},
    {"name the log and why: directive log-seal LOG --reason TEXT",
     "请指明日志和理由：directive log-seal 日志 --reason 理由"},
    {"--size and --root are of a seal", "--size 和 --root 只用于封存"},
    {"name one listing, or --last N", "请指明一条列入，或用 --last N"},
    {"--last takes 1 to 1000", "--last 应为 1 至 1000"},
    {"name the file to write: directive export FILE",
     "请指明要写入的文件：directive export 文件"},
    {"name one directive: directive status NUMBER",
     "请指明一条指令：directive status 编号"},
    {"'%' is no number of a directive", "“$1”不是指令编号"},
    {"'%' is no number of an entry", "“$1”不是条目编号"},
    {"% has no --%", "$1 没有选项 --$2"},
    {"%: is there already: another export writes it, or one was broken off; "
     "delete it then",
     "$1：已存在：另一导出正在写入，或曾中途中断；如属后者请删除"},
    {"say what: list-add, list-correct, list-remove, import, export, "
     "node-revoke, node-restore, node-move, log-seal, log-unseal, catalogue, "
     "measure, show, sign, publish, lists, nodes, effects or status",
     "请指明操作：list-add、list-correct、list-remove、import、export、"
     "node-revoke、node-restore、node-move、log-seal、log-unseal、catalogue、"
     "measure、show、sign、publish、lists、nodes、effects 或 status"},

    /* packages */
    {"the entries are not those that the line `root` names: the file was "
     "changed",
     "条目与 root 行不符：文件被改动过"},
    {"% of the % signatures that a package of % takes; whose, creditnode root "
     "show tells",
     "$3 的包须有 $2 个签名，现有 $1 个；由谁签名见 creditnode root show"},
    {"the signature of % does not fit: something was changed after it was "
     "signed",
     "$1 的签名不符：签名后内容被改动过"},
    {"signed by the key %, which does not decide for %: leave out its copy, or "
     "its line signature",
     "密钥 $1 不是 $2 的决定人：请去掉该份副本或其签名行"},

    /* the root document */
    {"say what: show, propose, sign or publish",
     "请指明操作：show、propose、sign 或 publish"},
    {"name the document and the key: root sign FILE --key KEY",
     "请指明根文件和密钥：root sign 文件 --key 密钥"},
    {"name the document: root publish FILE", "请指明根文件：root publish 文件"},
    {"name the file to write: -o FILE", "请用 -o 文件 指明要写入的文件"},
    {"%: % of the % signatures that version % asks for; to be asked: %",
     "$1：第 $4 版要求 $3 个签名，现有 $2 个；尚可签名：$5"},
    {"%: the signature of the key % does not fit; the text was changed after "
     "it was signed",
     "$1：密钥 $2 的签名不符；签名后内容被改动过"},
    {"%: signed by the key %, which keeps neither version % nor %",
     "$1：密钥 $2 既不是第 $3 版也不是第 $4 版的保管人"},
    {"%: follows another version % than %", "$1：所承接的第 $2 版不是 $3"},
    {"%: version %, expected %: %", "$1：第 $2 版，应为第 $3 版：%4"},
    {"publish those between first", "请先发布中间的版本"},
    {"it is in force already, or older", "该版已生效或更早"},

    /* verify, scrub, logs */
    {"'%' is no log", "“$1”不是日志"},
    {"--with and --origin: one of them", "--with 与 --origin 只能选一个"},
    {"this node has no parent; name another node's address by --with "
     "HOST:PORT, or use --origin",
     "本节点没有上级；请用 --with 主机:端口 指明另一节点，或用 --origin"},
    {"differs from entry % on", "自第 $1 条起不同"},
    {"equal as far as both go", "共有部分一致"},
    {"as its origin signed it", "与来源签名一致"},
    {"its lost tail is not back yet", "丢失的末段尚未取回"},
    {"not what its origin signed; creditnode scrub names the place",
     "与来源签名不符；位置见 creditnode scrub"},
    {"the tree cannot be read; creditnode scrub names the place",
     "无法读取校验树；位置见 creditnode scrub"},
    {"ended after % of % logs were compared",
     "已中断：比对了 $2 个日志中的 $1 个"},

    /* why an entry has no effect: store/store_index.c */
    {"malformed entry", "条目格式错误"},
    {"entry format of a later build", "条目格式属于更新的版本"},
    {"entry type unknown to this build", "本版本不认识该条目类型"},
    {"status unknown to this build", "本版本不认识该状态"},
    {"disclosure unknown to this build", "本版本不认识该公开属性"},
    {"subject kind unknown to this build", "本版本不认识该主体类型"},
    {"a person's identifier not sealed", "自然人标识未加密"},
    {"subject sealed, no key here yet", "主体已加密，本节点尚无密钥"},
    {"no subject, or one too long", "没有主体，或主体过长"},
    {"a version of 0", "版本号为 0"},
    {"opening entry not at number 1", "开头条目不在第 1 条"},
    {"entry 1 does not open the log", "第 1 条不是开头条目"},
    {"erased, erasure entry not met", "已删除，尚未见到删除条目"},
    {"same version as another entry of the record",
     "与该记录的另一条目版本号相同"},
    {"this and later entries are lost: the parent does not hold them either",
     "本条及其后的条目已丢失：上级也没有"},
    {"seal key could not be kept, is tried again", "密钥未能保存，正在重试"},
    {"more seal keys than an origin may have", "来源的密钥数量超限"},
    {"a directive outside a package", "指令不在包内"},
    {"a package that is malformed or of another issuer",
     "包格式错误，或不属于该发布节点"},
    {"a package without its end", "包不完整"},
    {"a package with other entries than were signed", "包中条目与所签内容不符"},
    {"a package not signed by enough deciders", "包的签名不足"},
    {"a package that took effect before", "包此前已生效"},
    {"a package published after its last day", "包在期限之后才发布"},
    {"a list decision that is malformed", "名单决定格式错误"},
    {"a catalogue version that is malformed, or not of the highest authority",
     "目录版本格式错误，或不是最高机关发布"},
    {"a measure that is malformed", "措施格式错误"},
    {"a decision about a node that is malformed or outside its issuer's area",
     "关于节点的决定格式错误，或超出发布节点辖区"},
};

const struct chinese_text *chinese_text_at(size_t i)
{
    return i < ARRAY_LEN(texts) ? &texts[i] : NULL;
}

/* What the parts of a pattern stand for in a text; as short as can be, those
 * in front first. */
static bool fits(const char *pattern, const char *text, struct slice *parts)
{
    for (; *pattern != '%'; pattern++, text++) {
        if (*pattern != *text) {
            return false;
        }
        if (*pattern == 0) {
            return true;
        }
    }
    for (size_t len = 1; text[len - 1] != 0; len++) {
        if (fits(pattern + 1, text + len, parts + 1)) {
            *parts = slice_of(text, len);
            return true;
        }
    }
    return false;
}

static bool put(const char *text, unsigned depth, struct buf *out);

static void put_part(struct slice part, unsigned depth, struct buf *out)
{
    char *text = mem_alloc(part.len + 1);
    memcpy(text, part.data, part.len);
    text[part.len] = 0;
    (void)put(text, depth, out);
    mem_free(text);
}

static void put_filled(const char *zh, const struct slice *parts,
                       unsigned depth, struct buf *out)
{
    for (; *zh != 0; zh++) {
        bool part = (*zh == '%' || *zh == '$') && zh[1] >= '1' && zh[1] <= '9';
        if (!part) {
            buf_put_u8(out, (uint8_t)*zh);
            continue;
        }
        const struct slice *at = &parts[zh[1] - '1'];
        if (*zh == '%') {
            put_part(*at, depth + 1, out);
        } else {
            buf_put_slice(out, *at);
        }
        zh++;
    }
}

static bool put_known(const char *text, unsigned depth, struct buf *out)
{
    struct slice parts[PARTS_MAX];
    const char *rule = rules_zh_of(text);
    if (rule[0] != 0) {
        buf_put_str(out, rule);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (fits(texts[i].en, text, parts)) {
            put_filled(texts[i].zh, parts, depth, out);
            return true;
        }
    }
    return false;
}

/* FILE: text */
static bool put_behind_name(const char *text, unsigned depth, struct buf *out)
{
    for (const char *at = text; (at = strstr(at, ": ")) != NULL; at += 2) {
        struct buf rest = BUF_INIT;
        bool known = put_known(at + 2, depth, &rest);
        if (known) {
            buf_put(out, text, (size_t)(at - text));
            buf_put_str(out, "：");
            buf_put_slice(out, buf_slice(&rest));
        }
        buf_fini(&rest);
        if (known) {
            return true;
        }
    }
    return false;
}

static bool put(const char *text, unsigned depth, struct buf *out)
{
    bool known = depth < DEPTH_MAX && (put_known(text, depth, out) ||
                                       put_behind_name(text, depth, out));
    if (!known) {
        buf_put_str(out, text);
    }
    return known;
}

bool chinese_put(const char *text, struct buf *out)
{
    if (strlen(text) > TEXT_LEN_MAX) {
        buf_put_str(out, text);
        return false;
    }
    return put(text, 0, out);
}
