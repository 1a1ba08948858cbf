/* The help of the subcommands in Chinese, beside commands.c. */
#include "cli/cli.h"

const struct cli_command cli_commands_zh[] = {
    {"serve", "运行节点",
     "用法：creditnode serve -c 文件\n\n"
     "在前台运行节点，直到收到 SIGTERM 或按 Ctrl-C。收到 SIGHUP "
     "时重新读取配置\n"
     "和证书。日志输出到标准错误；出现 READY 表示节点已可应答。\n\n"
     "退出码 "
     "0：由信号结束；1：无法启动或继续；5：存储已损坏，下次启动时重建：\n"
     "请让监管程序再次启动。\n\n"
     "  creditnode serve -c /etc/creditnode/node.cfg\n",
     NULL},
    {"check-config", "检查配置，列出生效的各项",
     "用法：creditnode check-config -c 文件\n\n"
     "与 serve 一样读取配置，打开证书和根文件，并列出每一项及其出处。如有 "
     "serve\n"
     "会拒绝的问题，退出码为 1。只有启动时才知道的不检查：数据目录是否可用、\n"
     "完好，端口能否占用，数据库能否连通。\n",
     NULL},
    {"import", "从文件或标准输入录入记录",
     "用法：creditnode import [选项] 文件…\n"
     "      creditnode import --stdin < 文件\n\n"
     "把行政许可和行政处罚的 CSV 文件（2018 或 2016 "
     "版数据项，列名用代码或中文\n"
     "均可；UTF-8 或 GB18030 "
     "编码）交给正在运行的节点。报告为成功的行已写入节点\n"
     "日志并落盘；有误的行列出行号、列名和规则。重复导入同一文件不会改变任何内"
     "容。\n\n"
     "      --stdin          从标准输入读取一个文件\n"
     "      --receipt 文件   把每一行的处理结果写成 CSV（回执）\n"
     "      --quiet          只显示合计\n\n"
     "退出码 "
     "0：全部录入；1：有文件未能接收到底；3：有行被拒绝；6：未做任何事，\n"
     "由本节点的另一进程写入。\n",
     NULL},
    {"exchange", "部门直接写入的前置库表",
     "用法：creditnode exchange schema 表名\n"
     "      creditnode exchange status\n\n"
     "schema 输出前置库管理员应对 exchange.tables "
     "中的一张表执行的语句：建表，\n"
     "以及节点和部门的权限。不访问数据库，也不访问节点。\n"
     "status 显示正在运行的节点从各表接收了多少，以及因何停止（见\n"
     "docs/exchange.md）。\n",
     NULL},
    {"catalogue", "记录类别、数据项和现行措施",
     "用法：creditnode catalogue [show] [类别]\n\n"
     "内置的和上级机关发布的内容：数据项、公开属性、保存期限；目录各版本及其决"
     "定\n"
     "机关（含未生效的）；名单可用的措施。指明类别的名称或编号时，列出其数据项"
     "。\n",
     NULL},
    {"query", "查询主体，或查一条记录",
     "用法：creditnode query 主体\n"
     "      creditnode query 主体 记录键\n"
     "      creditnode query --log 来源/records/标识 --number 编号\n\n"
     "“主体”是统一社会信用代码；或 列名/号码，即某列所载的其他号码；或 "
     "日志#编号，\n"
     "即一条列入，其记录说明对它采取了什么措施。指明记录键时，显示该记录的各版"
     "本、\n"
     "来源，以及哪些级别已持久保存。\n\n"
     "      --limit N        每次答复的记录数（默认 100）\n"
     "      --after 位置     从上次答复“更多”处继续\n"
     "      --brief          不显示数据项\n",
     NULL},
    {"status", "正在运行的节点的状态",
     "用法：creditnode status [--metrics]\n\n"
     "一词概括状态并列出原因，以及存储、上级和下级。\n\n"
     "      --metrics            以 Prometheus 文本格式输出数值；节点无应答时\n"
     "                           也有输出\n\n"
     "退出码 0：正常；3：注意；4：告警；1：节点无应答；带 --metrics 时只有 0 "
     "和 1。\n",
     NULL},
    {"watch", "本机多个节点的实时表格",
     "用法：creditnode watch [--once] [--until-equal 秒] 配置…\n\n"
     "向这些配置的节点询问其日志，并逐个显示：本级记录数、收到的记录数、落后各"
     "来源\n"
     "多少、状态。上下级关系以节点所述为准；无应答的以其配置为准。\n\n"
     "      --once               只显示一次\n"
     "      --until-equal 秒     "
     "待每个节点都持有其辖区录入的全部内容（条数与根\n"
     "                           一致）时结束；超时则退出码为 1\n"
     "      --interval 毫秒      两次查看的间隔（默认 500）\n",
     NULL},
    {"logs", "本节点持有的日志",
     "用法：creditnode logs [--state 状态]\n\n"
     "各日志的条数、根、状态，以及上级各级已持有到哪一条。\n"
     "状态：active（在用）、closed（已结束）、pulling（正在找回）、\n"
     "forked（分叉）。\n",
     NULL},
    {"issues", "在本节点没有效力的条目及原因",
     "用法：creditnode issues\n\n"
     "本节点判为无效（void）或不认识（unindexed）的条目照常转发；此处列出这些条"
     "目\n"
     "及原因。\n",
     NULL},
    {"verify", "证明本节点与另一节点的副本一致",
     "用法：creditnode verify [--with 主机:端口 | --origin] [--log 日志]\n\n"
     "把每个日志的根与上级（或指明的节点）比对，并找出第一条不同的条目。有不同"
     "时\n"
     "退出码为 3。根来自已存的校验树；各条目是否仍与其散列相符，由\n"
     "creditnode scrub 检查。\n\n"
     "      --with 主机:端口  "
     "上方或下方的另一节点；它只答复本节点及其下级的日志\n"
     "      --origin          与各来源签名的头部比对；不询问任何节点\n"
     "      --log 日志        只比对此日志\n",
     NULL},
    {"reindex", "由日志重建索引",
     "用法：creditnode reindex\n\n"
     "索引由日志导出；此命令在节点运行时重新生成索引。\n",
     NULL},
    {"scrub", "读取并检查存储中的全部内容",
     "用法：creditnode scrub\n\n"
     "读取每个数据块，计算每一条的散列，与校验树和签名的头部比对，指出损坏之处"
     "。\n"
     "有损坏时退出码为 3。\n",
     NULL},
    {"store", "把节点的存储迁到另一数据库",
     "用法：creditnode store copy --from A.cfg --to B.cfg [--once]\n\n"
     "A 和 B 是本节点的两份配置，区别在 store.backend 或 mariadb.* 以及 "
     "data.dir：\n"
     "由内嵌库迁到 MariaDB，或迁回，或由一台服务器迁到另一台。B 的数据库和\n"
     "data.dir 须为空，或存有未完成的副本（会继续复制）。\n\n"
     "节点在 A 上运行时，副本随之更新。方便时停止节点：余下部分随即复制，B "
     "的每一\n"
     "条都已回读，每个日志的根都一致；密钥和根文件一并带走。此后 A "
     "被标记，不能再\n"
     "用来启动节点；请用 B 启动。若节点已停止，则一次完成。\n\n"
     "无论因何中断，再次执行即可。在它报告已迁移之前，只有 A 可以启动。\n\n"
     "      --once           对运行中的节点只复制一遍，然后结束\n"
     "  -s 套接字            运行中的节点的套接字，如与 A 的 admin.socket "
     "不同\n\n"
     "退出码 0：已迁移；3：用 --once 复制了一遍，节点仍在 A 上运行。\n\n"
     "  creditnode store copy --from /etc/creditnode/node.cfg \\\n"
     "                        --to /etc/creditnode/mariadb.cfg\n"
     "  systemctl stop creditnode        # 在另一终端，此后任何时候\n"
     "  mv /etc/creditnode/mariadb.cfg /etc/creditnode/node.cfg\n"
     "  systemctl start creditnode\n",
     NULL},
    {"check", "核查这些主体是否在名单上",
     "用法：creditnode check 文件\n\n"
     "文件每行一个统一社会信用代码，或是一张表（CSV，或以制表符、分号分列；UTF-"
     "8\n"
     "或 GB18030 "
     "编码），代码在任何一列均可：一行中的每个代码都会核查。列出在现行\n"
     "名单上的主体，全部按名单的同一状态核查，并注明其时效。没有代码的行，以及"
     "疑似\n"
     "录错的代码，逐一列出行号：不按名称核查，因为名称可能重复。\n\n"
     "退出码 "
     "0：都不在名单上，且名单为最新；3：有主体在名单上；4：没有查到，但不能\n"
     "确定：有的行无法确定主体，或某机关的名单不是最新，或从未收到；1：没有答复"
     "。\n",
     NULL},
    {"feedback", "反馈对一条列入采取的措施",
     "用法：creditnode feedback 日志#编号 --outcome applied --measure 编号…\n"
     "      creditnode feedback 日志#编号 --outcome not-applicable|refused\n"
     "                  [--reason 理由]\n\n"
     "供没有自己应用的单位使用；应用请调用 "
     "Query/Feedback。反馈成为本节点的一条\n"
     "记录，与其他记录一样上行，作出决定的机关可以看到：creditnode directive\n"
     "effects。\n\n"
     "  --outcome 结果   applied：已实施措施；not-applicable：不适用；\n"
     "                   refused：未实施，由 --reason 说明理由\n"
     "  --measure 编号   该列入所列的措施；多项时重复此选项\n"
     "  --app 名称       由谁实施；默认：office\n"
     "  --day YYYYMMDD   核查日期；默认：今天\n",
     NULL},
    {"directive", "作出决定：列入或移出名单等",
     "用法：creditnode directive list-add|list-correct|list-remove\n"
     "                  列名=值… (-o 文件 | --dry-run)\n"
     "      creditnode directive import 文件 (-o 文件 | --dry-run)\n"
     "      creditnode directive export 文件 [--log 日志] [--from 编号]\n"
     "      creditnode directive import 文件\n"
     "      creditnode directive show 文件\n"
     "      creditnode directive sign 文件 --key 密钥\n"
     "      creditnode directive publish 文件…\n"
     "      creditnode directive lists\n"
     "      creditnode directive status [编号] [--log 日志]\n"
     "      creditnode directive effects [列入 | --last N] [--log 日志]\n"
     "      creditnode directive node-revoke|node-restore 代码 --reason 理由\n"
     "      creditnode directive node-move 代码 --to 上级 --reason 理由\n"
     "      creditnode directive log-seal 日志 --reason 理由\n"
     "                  [--size 条数 --root 十六进制]\n"
     "      creditnode directive log-unseal 日志 --reason 理由\n"
     "      creditnode directive nodes\n"
     "      creditnode directive catalogue|measure 文件.json\n"
     "                  (-o 文件 | --dry-run)\n\n"
     "在根文件指定的发布节点上使用。决定组成一个包（1 至 10,000 "
     "条），由足够的决定\n"
     "人签名并发布后整体生效。各列见 "
     "docs/catalogue.md，列名用代码、中文或英文均可。\n\n"
     "  list-add       一条列入；移出的列会被拒绝\n"
     "  list-correct   更正一条现行的列入，各列相同\n"
     "  list-remove    一条移出；列入的列会被拒绝\n"
     "      --listing 日志#编号   "
     "指明由下级节点决定的列入：予以撤销。本节点没有\n"
     "                       下级的名单，请在当地节点用 creditnode query 查得\n"
     "  import     从 CSV 文件读取列入或移出，由其各列决定\n"
     "      -o, --output 文件    包的新文件\n"
     "      --dry-run        显示将要发布的内容\n"
     "      --receipt 文件   把每一行的处理结果写成 CSV（回执）\n"
     "      --correct        各行更正现行的列入\n"
     "      --key 密钥       显示全部内容，询问后签名；加 --publish "
     "时，若一个签名\n"
     "                       即足够，随即发布\n"
     "      --yes            不询问：供明确知道所决定内容的程序使用\n"
     "  export     "
     "导出指令日志及其签名，供线路不通的节点使用；默认：本节点自己的，\n"
     "             全部。对方用 import 接收，核对与线路传来的一样\n"
     "  node-revoke, node-restore, node-move   "
     "关于下级节点：任何节点不再与其通信；\n"
     "             恢复通信；今后改属“上级”。选项同上\n"
     "  log-seal   已撤销或丢失的下级节点的记录日志，止于本节点持有之处（或 "
     "--size\n"
     "             与 --root "
     "所指之处）；虽无人再签名，仍可重新复制，但不能再添加。\n"
     "             在本节点及其下级有效\n"
     "  log-unseal     取消封存\n"
     "  nodes      以上各项现行的决定\n"
     "  show       显示包的内容\n"
     "  sign       加上一位决定人的签名；不需要节点\n"
     "      --key 密钥       私钥（PEM，权限 0600）\n"
     "  publish    交给正在运行的节点；同一包的多份副本可以各带签名\n"
     "  lists      本节点的名单到哪一条，是否最新\n"
     "  effects    "
     "下级应用命中某条列入（日志#编号，或本节点日志中的编号）的次数和\n"
     "             所采取的措施；不指明时：最近 20 条列入\n"
     "  catalogue  "
     "增加记录类别和数据项，改变公开属性，由最高机关发布；文件格式见\n"
     "             docs/catalogue.md\n"
     "  measure    本辖区名单所用的措施\n"
     "  status     "
     "下级有多少节点已持久保存某条指令，哪些没有，最近何时联系过；不指\n"
     "             明编号时：全部指令\n"
     "      --log 日志       指明日志；默认：本节点自己的\n\n"
     "退出码 "
     "3：有行被拒绝，或已发布的条目中有无效的；6：未做任何事，由本节点的另一\n"
     "进程写入。\n\n"
     "  creditnode directive import today.csv -o today.package\n"
     "  creditnode directive sign today.package --key li.key\n"
     "  creditnode directive sign today.package --key wang.key\n"
     "  creditnode directive publish today.package\n",
     NULL},
    {"root", "谁可以决定：查看和变更根文件",
     "用法：creditnode root show [文件] [--version N] [--text]\n"
     "      creditnode root propose -o 文件 [变更]\n"
     "      creditnode root sign 文件 --key 密钥 [--previous 文件]\n"
     "      creditnode root publish 文件\n\n"
     "根文件规定哪些 CA "
     "有效，以及指令须由谁决定。其第一个发布节点的决定人保管它：\n"
     "下一版须由他们中的 k 人签名，并由新版所指定的 k "
     "人签名。之后无论交给哪个\n"
     "节点，都会自动传到所有节点。\n\n"
     "  show       正在运行的节点的最新版，或一个文件；有签名不符时退出码为 1\n"
     "      --version N          该节点的某一旧版\n"
     "      --text               输出文件本身，以便携带\n"
     "      --previous 文件      若不承接该文件或签名不足，退出码为 1\n"
     "  propose    写出下一版，以供签名\n"
     "      -o 文件              新文件\n"
     "      --from 文件          承接此文件，而不是节点的现行版\n"
     "      --add-decider 代码:公钥文件:姓名\n"
     "      --remove-decider 代码:姓名或密钥标识\n"
     "      --threshold 代码:K   今后须由其 K 名决定人签名\n"
     "      --add-issuer 代码:K  其决定人用 --add-decider 指定\n"
     "      --remove-issuer 代码\n"
     "      --last 代码:日志标识:条数:根\n"
     "                           "
     "决定人变更时：此前的签名有效到此处（见发布节点的\n"
     "                           creditnode logs "
     "--json，其每个指令日志各一项）\n"
     "      --add-ca 文件        一个证书（PEM）\n"
     "      --remove-ca 标识     其 SHA-256 的前 8 位或更多\n"
     "  sign       加上一位保管人的签名；不需要节点\n"
     "      --key 密钥           私钥（PEM，权限 0600）\n"
     "      --previous 文件      前一版，用以显示变更；不是前一版则拒绝\n"
     "  publish    交给正在运行的节点\n\n"
     "例：一位决定人的密钥被盗。在发布节点上：\n\n"
     "  creditnode root show --text > root-1\n"
     "  creditnode root propose -o root-2 \\\n"
     "      --remove-decider 000000000000:Wang \\\n"
     "      --add-decider 000000000000:wang-new.pub:Wang \\\n"
     "      --last 000000000000:9f86d081884c7d65:214:5feceb66...\n\n"
     "其他各人在自己的机器上，然后再在节点上：\n\n"
     "  creditnode root sign root-2 --key li.key --previous root-1\n"
     "  creditnode root publish root-2\n",
     NULL},
    {NULL, NULL, NULL, NULL},
};
