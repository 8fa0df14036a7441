"""What session libraries say to their Redis, as captured, and the answers they need, to the byte.

A row is (request, answer). A request is a line whose words are the arguments, or the arguments
themselves. An answer is bytes or a pattern; where a real redis-server 7.0 answers otherwise the row
has its answer as a third element."""
import hashlib
import os
import re

OK, NIL, NIL3, ZERO, ONE = b"+OK\r\n", b"$-1\r\n", b"_\r\n", b":0\r\n", b":1\r\n"
QUEUED = b"+QUEUED\r\n"
SID = "e55a55c4a1d34f6bb0b5b9cbd1a7f0aa"
DIGEST = hashlib.sha256(SID.encode()).hexdigest()


def bulk(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*texts):
    return b"*%d\r\n" % len(texts) + b"".join(NIL if t is None else bulk(t) for t in texts)


def no_subcommand(name, of):
    return f"-ERR unknown subcommand '{name}'. Try {of} HELP.\r\n".encode()


def no_command(name, *arguments):
    quoted = "".join(f"'{a}' " for a in arguments)
    return f"-ERR unknown command '{name}', with args beginning with: {quoted}\r\n".encode()


HELLO3 = re.compile(
    rb"%7\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n\$7\r\nversion\r\n\$\d+\r\n[\d.]+\r\n"
    rb"\$5\r\nproto\r\n:3\r\n\$2\r\nid\r\n:\d+\r\n\$4\r\nmode\r\n\$10\r\nstandalone\r\n"
    rb"\$4\r\nrole\r\n\$6\r\nmaster\r\n\$7\r\nmodules\r\n\*0\r\n"
)
HELLO2 = re.compile(HELLO3.pattern.replace(rb"%7", rb"\*14").replace(rb":3", rb":2"))
INFO_TEXT = rb"# Server\r\nredis_version:\d+\.\d+\.\d+\r\n[^\0]*loading:0\r\n[^\0]*role:master\r\n[^\0]*"
INFO2 = re.compile(rb"\$\d+\r\n" + INFO_TEXT + rb"\r\n")
INFO3 = re.compile(rb"=\d+\r\ntxt:" + INFO_TEXT + rb"\r\n")
OLD_SETINFO = no_subcommand("SETINFO", "CLIENT")  # came with 7.2

PHP = "PHPREDIS_SESSION:" + SID
LOCK = PHP + "_LOCK"
UNLOCK = 'if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end'
UNLOCK_HASH = "b70c2384248f88e6b75b9f89241a180f856ad852"
NO_SCRIPT = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"

PHPREDIS = {
    "phpredis new": [
        (f"GET {PHP}", NIL),
        (f"SETEX {PHP} 1440 x|i:1;", OK),
        (f"GET {PHP}", bulk("x|i:1;")),
        (f"EXPIRE {PHP} 1440", ONE),
        (f"DEL {PHP}", ONE),
    ],
    "phpredis strict, locking": [
        ("SELECT 2", OK),
        (f"SETEX {PHP} 1440 u|s:5:\"alice\";", OK),
        (f"EXISTS {PHP}", ONE),
        (f"SET {LOCK} vm|23893 NX", OK),
        (f"SET {LOCK} vm|23894 NX", NIL),
        (f"GET {PHP}", bulk('u|s:5:"alice";')),
        (f"SETEX {PHP} 1440 u|s:5:\"alice\";n|i:1;", OK),
        (("EVAL", UNLOCK, 1, LOCK, "vm|23894"), ZERO),
        (("EVALSHA", UNLOCK_HASH, 1, LOCK, "vm|23893"), ONE),
        (f"EXISTS {LOCK}", ZERO),
        (f"DEL {PHP}", ONE),
    ],
    "phpredis unlock by hash of an unknown lock": [
        (("EVALSHA", UNLOCK_HASH, 1, LOCK, "vm|1"), re.compile(rb":0\r\n|" + NO_SCRIPT)),
        (("EVAL", UNLOCK, 1, LOCK, "vm|1"), ZERO),
    ],
    "phpredis lock_expire, early_refresh": [
        (f"SETEX {PHP} 60 v", OK),
        (f"SET {LOCK} vm|23905 NX PX 30000", OK),
        (f"GETEX {PHP} EX 1440", bulk("v")),
        (f"TTL {PHP}", b":1440\r\n"),
        (f"GET {LOCK}", bulk("vm|23905")),
        (f"SETEX {PHP} 1440 w", OK),
        (("EVAL", UNLOCK, 1, LOCK, "vm|23905"), ONE),
        (f"DEL {PHP} {LOCK}", ONE),
    ],
}

SESS = "sess:" + SID
BODY = '{"cookie":{"originalMaxAge":null},"n":1}'
MAINT = "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip"
NODE = {
    "node-redis 6, connect-redis 10": [
        ("HELLO 3", HELLO3),
        ("CLIENT SETINFO LIB-VER 6.3.1", OK, OLD_SETINFO),
        ("CLIENT SETINFO LIB-NAME node-redis", OK, OLD_SETINFO),
        (MAINT, no_subcommand("MAINT_NOTIFICATIONS", "CLIENT")),
        (f"GET {SESS}", NIL3),
        (f"SET {SESS} {BODY} EX 86400", OK),
        (f"EXPIRE {SESS} 86400", ONE),
        (f"GET {SESS}", bulk(BODY)),
        (f"SCAN 0 MATCH {SESS}* COUNT 100000", re.compile(rb"\*2\r\n" + re.escape(bulk("0") + array(SESS)))),
        (f"MGET {SESS} nosuch", b"*2\r\n" + bulk(BODY) + NIL3),
        (f"DEL {SESS}", ONE),
        ("DEL", b"-ERR wrong number of arguments for 'del' command\r\n"),
    ],
    "ioredis 6": [
        ("hello 3", HELLO3),
        ("client SETINFO LIB-VER 6.0.0", OK, OLD_SETINFO),
        ("client SETINFO LIB-NAME ioredis", OK, OLD_SETINFO),
        ("info", INFO3),
        (f"set {SESS} {BODY} EX 86400", OK),
        (f"get {SESS}", bulk(BODY)),
        (f"expire {SESS} 86400", ONE),
        (f"del {SESS}", ONE),
    ],
    "node-redis 3": [
        ("info", INFO2),
        (f"set {SESS} {BODY} EX 86400", OK),
        (f"get {SESS}", bulk(BODY)),
        (f"del {SESS}", ONE),
    ],
}

RAILS = "myapp:session:2::" + DIGEST
DJANGO = ":1:django.contrib.sessions.cache" + SID
DJANGO_NEW = ":1:django.contrib.sessions.cachenew" + SID
PICKLE = b"\x80\x04\x95\x00\r\n\x00}\x94."
LARAVEL = "laravel_database_laravel_cache_:" + SID
RUBY_PYTHON_PHP = {
    "redis-session-store": [
        (f"exists {RAILS}", ZERO),
        (f"get {RAILS}", NIL),
        (("setex", RAILS, 7200, b"\x04\x08{\x00"), OK),
        (f"exists {RAILS}", ONE),
        (f"exists {RAILS}", ONE),
        (f"get {RAILS}", bulk(b"\x04\x08{\x00")),
        (f"del myapp:session:{SID}", ZERO),
        (f"del {RAILS}", ONE),
    ],
    "redis-rack": [
        (f"setnx {RAILS} a", ONE),
        ("MULTI", OK),
        (f"EXPIRE {RAILS} 7200", QUEUED),
        ("EXEC", b"*1\r\n:1\r\n"),
        (f"setnx {RAILS} b", ZERO),
        (f"del {RAILS}", ONE),
    ],
    "Django, login": [
        ("SELECT 1", OK),
        (f"EXISTS {DJANGO}", ZERO),
        (("SET", DJANGO, PICKLE, "EX", 1209600, "NX"), OK),
        (f"GET {DJANGO}", bulk(PICKLE)),
        (f"EXISTS {DJANGO_NEW}", ZERO),
        (("SET", DJANGO_NEW, PICKLE, "EX", 1209600, "NX"), OK),
        (f"DEL {DJANGO}", ONE),
        (f"GET {DJANGO_NEW}", bulk(PICKLE)),
        (("SET", DJANGO_NEW, PICKLE, "EX", 1209600), OK),
        (f"TTL {DJANGO_NEW}", b":1209600\r\n"),
        (f"DEL {DJANGO_NEW}", ONE),
    ],
    "django-redis": [
        (("SET", DJANGO, PICKLE, "PX", 1209600000, "NX"), OK),
        (("SET", DJANGO, PICKLE, "PX", 1209600000, "NX"), NIL),
        (f"DEL {DJANGO}", ONE),
    ],
    "Laravel, lock": [
        ("SELECT 0", OK),
        (f"SET session:{SID} token NX EX 10", OK),
        (f"SET session:{SID} token EX 10 NX", NIL),
        (f"GET {LARAVEL}", NIL),
        (f'SETEX {LARAVEL} 7200 s:6:"a:0:{{}}";', OK),
        (f"UNLINK {LARAVEL}", ONE),
        (("EVAL", UNLOCK.replace(" then ", " then\n    ").replace(" else ", "\nelse\n    "), 1,
          f"session:{SID}", "token"), ONE),
    ],
    "CodeIgniter 4": [
        (f"SET ci_session:{SID}:lock 1 NX EX 300", OK),
        (f"GET ci_session:{SID}", NIL),
        (f"EXPIRE ci_session:{SID}:lock 300", ONE),
        (f"SET ci_session:{SID} v EX 7200", OK),
        ("PING", b"+PONG\r\n"),
        (f"DEL ci_session:{SID}:lock", ONE),
        (f"DEL ci_session:{SID}", ONE),
    ],
}

SPRING = "spring:session:sessions:" + SID
SPRING_NEW = "spring:session:sessions:new" + SID
ASP = "asp" + SID
MAGENTO = "sess_" + SID
REDISSON = f"redisson:tomcat_session:{SID}.node1"
REDISSON_LOOP = (
    "local result = 0;for j = 1, #KEYS, 1 do local expireSet = redis.call('pexpire', KEYS[j],"
    " ARGV[1]); if expireSet == 1 then result = expireSet;end; end; return result; "
)
REDISSON_HASH = hashlib.sha1(REDISSON_LOOP.encode()).hexdigest()
ASP_SCRIPT = (
    "redis.call('HSET', KEYS[1], 'absexp', ARGV[1], 'sldexp', ARGV[2], 'data', ARGV[4])\n"
    "if ARGV[3] ~= '-1' then\n  redis.call('EXPIRE', KEYS[1], ARGV[3])\nend\nreturn 1"
)
JAVA_AND_NET = {
    "Lettuce, Spring Session": [
        ("HELLO 3 SETNAME spring", HELLO3),
        ("CLIENT SETINFO lib-name Lettuce", OK, no_subcommand("SETINFO", "CLIENT")),
        ("CLIENT GETNAME", bulk("spring")),
        (f"HMSET {SPRING} lastAccessedTime 1 maxInactiveInterval 1800 creationTime 1", OK),
        (f"PEXPIREAT {SPRING} 4102444800000", ONE),
        (f"HGETALL {SPRING}",
         re.compile(rb"%3\r\n(\$\d+\r\n(lastAccessedTime|maxInactiveInterval|creationTime)\r\n"
                    rb"\$\d+\r\n\d+\r\n){3}")),
        (f"EXISTS {SPRING}", ONE),
        (f"RENAME {SPRING} {SPRING_NEW}", OK),
        (f"RENAME {SPRING} {SPRING_NEW}", b"-ERR no such key\r\n"),
        (f"HGETALL {SPRING}", b"%0\r\n"),
        (f"HGET {SPRING_NEW} creationTime", bulk("1")),
        (f"DEL {SPRING_NEW}", ONE),
    ],
    "Redisson": [
        (f"HMSET {REDISSON} session:creationTime 1 session:isNew true", OK),
        (f"HMGET {REDISSON} session:creationTime session:nosuch", array("1", None)),
        (("SCRIPT", "LOAD", REDISSON_LOOP), bulk(REDISSON_HASH)),
        (f"EVALSHA {REDISSON_HASH} 1 {REDISSON} 60000", ONE),
        (("EVAL", REDISSON_LOOP, 1, REDISSON, 60000), ONE),
        (f"HKEYS {REDISSON}", re.compile(rb"\*2\r\n(\$20\r\nsession:creationTime\r\n|\$13\r\nsession:isNew\r\n){2}")),
        (f"HDEL {REDISSON} session:isNew", ONE),
        (f"EXISTS {REDISSON}", ONE),
        (f"DEL {REDISSON}", ONE),
    ],
    "ASP.NET Core 8": [
        (f"HMGET {ASP} absexp sldexp data", array(None, None, None)),
        (f"HMSET {ASP} absexp -1 sldexp 12000000000 data v", OK),
        (f"EXPIRE {ASP} 1200", ONE),
        (f"HMGET {ASP} absexp sldexp data", array("-1", "12000000000", "v")),
        (f"EXPIRE {ASP} 1200", ONE),
        (f"DEL {ASP}", ONE),
    ],
    "ASP.NET Core 7": [
        (("EVAL", ASP_SCRIPT, 1, ASP, -1, 12000000000, 1200, "v"), ONE),
        (f"HMGET {ASP} absexp sldexp data", array("-1", "12000000000", "v")),
        (f"TTL {ASP}", b":1200\r\n"),
        (f"DEL {ASP}", ONE),
    ],
    "Magento": [
        ("SELECT 2", OK),
        (f"HINCRBY {MAGENTO} lock 1", ONE),
        (f"HGET {MAGENTO} pid", NIL),
        (f"HMSET {MAGENTO} pid vm|1 lock 1", OK),
        (f"EXPIRE {MAGENTO} 21600", ONE),
        (f"HMGET {MAGENTO} data writes", array(None, None)),
        (f"HGET {MAGENTO} pid", bulk("vm|1")),
        (f"HMSET {MAGENTO} data v lock 0", OK),
        (f"HINCRBY {MAGENTO} writes 1", ONE),
        (f"EXPIRE {MAGENTO} 21600", ONE),
        (f"HINCRBY {MAGENTO} wait 1", ONE),
        (f"HINCRBY {MAGENTO} wait -1", ZERO),
        (f"UNLINK {MAGENTO}", ONE),
    ],
    "StackExchange.Redis, handshake": [
        ("HELLO 2 SETNAME web", HELLO2),
        ("CLIENT SETNAME web", OK),
        ("CLIENT SETINFO lib-name SE.Redis", OK, no_subcommand("SETINFO", "CLIENT")),
        ("CLIENT ID", re.compile(rb":\d+\r\n")),
        ("CONFIG GET timeout", re.compile(rb"\*[02]\r\n[^\0]*")),
        ("CONFIG GET nosuch", b"*0\r\n"),
        ("SENTINEL MASTERS", no_command("SENTINEL", "MASTERS")),
        ("INFO replication", re.compile(rb"\$\d+\r\n# Replication\r\nrole:master\r\n[^\0]*")),
        ("INFO server", re.compile(rb"\$\d+\r\n# Server\r\nredis_version:[^\0]*")),
        ("GET __Booksleeve_TieBreak", NIL),
        ("ECHO tracer", bulk("tracer")),
    ],
    "scs": [
        ("MULTI", OK),
        (f"SET scs:session:{SID} v", QUEUED),
        (f"PEXPIREAT scs:session:{SID} 4102444800000", QUEUED),
        ("EXEC", b"*2\r\n+OK\r\n:1\r\n"),
        (f"GET scs:session:{SID}", bulk("v")),
        (f"KEYS scs:session:{SID}*", array(f"scs:session:{SID}")),
        (f"DEL scs:session:{SID}", ONE),
    ],
}

CONVERSATIONS = {**PHPREDIS, **NODE, **RUBY_PYTHON_PHP, **JAVA_AND_NET}


def _replaced(part, pairs):
    if isinstance(part, tuple):
        return tuple(_replaced(each, pairs) for each in part)
    if isinstance(part, re.Pattern):
        return re.compile(_replaced(part.pattern, pairs))
    for old, new in pairs if isinstance(part, (str, bytes)) else ():
        part = part.replace(*((old, new) if isinstance(part, str) else (old.encode(), new.encode())))
    return part


def fresh(name):
    """The rows of a conversation, about a session that there never was."""
    pairs = [(SID, os.urandom(16).hex()), (DIGEST, os.urandom(32).hex())]
    return [_replaced(row, pairs) for row in CONVERSATIONS[name]]
