package remote

// The usual ways to MAIN and BASTION.
const (
	toMain  = "Host azar03\n  HostName 127.0.0.1\n  Port $MAIN\n"
	bastion = "Host bastion\n  HostName 127.0.0.1\n  Port $BASTION\n"
	// Key lines for a host that is not MAIN.
	certified = "Host azar03\n  HostName 127.0.0.1\n  Port $CERTIFIED\n"
	userCA    = "Host azar03\n  HostName 127.0.0.1\n  Port $USERCA\n"
	knownCA   = "[127.0.0.1]:$USERCA $USERCA_ED25519\n"
	oldKey    = "Host azar03\n  HostName 127.0.0.1\n  Port $OLDKEY\n"
	knownOld  = "[127.0.0.1]:$OLDKEY $HOST_RSA\n"
	noHost    = "# no host\n"
)

// A stand-in for sss_ssh_knownhostsproxy of SSSD, with the arguments of
// lsst-it/lsst-control, hieradata/common.yaml: it fills the known-hosts file of
// the system from the directory, then forwards.
const sssd = "#!/bin/sh\ncat > $DIR/pubconf/known_hosts <<END\n[127.0.0.1]:$MAIN $MAIN_ED25519\n[127.0.0.1]:$BASTION $BASTION_ED25519\nEND\nexec $FORWARD \"$3\" \"$2\"\n"

// The client options of the observatory's hosts, from the same file.
const rubin = "GlobalKnownHostsFile $DIR/pubconf/known_hosts\nPubkeyAuthentication yes\nProxyCommand $HOME/sss.sh -p %p %h\nGSSAPIAuthentication yes\n"

// The cases of TestLikeSSH. Where a case is from a public report, its name has it.
var likeSSH = []likeCase{
	// Where settings come from.
	{name: "no configuration", host: "127.0.0.1", works: false, says: "cannot reach"},
	{name: "a Host block", user: toMain, works: true},
	{name: "the system's configuration", system: toMain, works: true},
	{name: "the user's before the system's", user: "Host azar03\n  Port $MAIN\n", system: "Host azar03\n  Port 1\n  HostName 127.0.0.1\n", works: true},
	{name: "an equals sign and quotes", user: "Host=\"azar03\"\nHostName = \"127.0.0.1\"\n\tPort=$MAIN\n", works: true},
	{name: "a quoted Include", user: "Include \"~/.ssh/conf d/*\"\n", files: map[string]string{".ssh/conf d/summit": toMain}, works: true},
	{name: "an Include in the system's configuration", system: "Include /etc/ssh/ssh_config.d/*.conf\nInclude $HOME/sys\n", files: map[string]string{"sys": toMain}, works: true},
	{name: "an Include in a Host block", user: "Host azar*\n  Include more\n", files: map[string]string{".ssh/more": toMain}, works: true},
	{name: "a negated pattern (the manual's idiom)", user: bastion + toMain + "Host * !bastion\n  ProxyJump bastion\n", works: true},
	{name: "a negated pattern with settings", user: "Host azar* !azar03\n  User nobody\n  Port 1\n  IdentityFile ~/.ssh/none\n" + toMain, works: true},
	{name: "Match host (k0sctl#1140)", user: "Match host azar03\n  HostName 127.0.0.1\n  Port $MAIN\n", works: true},
	{name: "Match originalhost and user", user: "Match originalhost azar03 user ada\n  HostName 127.0.0.1\n  Port $MAIN\n", works: true},
	{name: "Match exec", user: "Match host azar03 exec \"test -e $HOME/vpn\"\n  Port $MAIN\n" + "Host azar03\n  HostName 127.0.0.1\n", files: map[string]string{"vpn": "up"}, works: true},
	{name: "Match exec that fails", user: "Match host azar03 exec \"test -e $HOME/vpn\"\n  Port $MAIN\nHost azar03\n  HostName 127.0.0.1\n  Port 1\n", works: false, says: "cannot reach"},
	{name: "Match exec that writes to the terminal", user: "Match exec \"echo seen >/dev/tty; echo said >&2; true\"\n  Port $MAIN\nHost azar03\n  HostName 127.0.0.1\n", works: true},
	{name: "Match localuser", user: "Match localuser ada\n  Port $MAIN\nHost azar03\n  HostName 127.0.0.1\n", works: true},
	{name: "Match all", user: toMain + "Match all\n  User dco\n", works: true},
	{name: "Match final", user: "Match final host 127.0.0.1\n  Port $MAIN\nHost azar03\n  HostName 127.0.0.1\n", works: true},
	{name: "CanonicalizeHostname", user: "CanonicalizeHostname yes\nCanonicalDomains cp.lsst.org\nHost azar03.cp.lsst.org\n  Port $MAIN\n  HostKeyAlias azar03\n", known: "azar03 $MAIN_ED25519\n", works: true},
	{name: "HostName with a token", user: "Host azar03\n  HostName %h.cp.lsst.org\n  Port $MAIN\n", known: "[azar03.cp.lsst.org]:$MAIN $MAIN_ED25519\n", works: true},
	{name: "an unknown option", user: toMain + "  NoSuchOption yes\n", works: false, says: "Bad configuration option"},
	{name: "an unknown option that is to be ignored", user: "IgnoreUnknown UseKeychain\nUseKeychain yes\n" + toMain, works: true},
	{name: "RemoteCommand", user: toMain + "  RemoteCommand ls\n", works: false, says: "Cannot execute command-line and remote command"},
	{name: "another account", user: toMain + "  User dco\n", works: true},
	{name: "an account that does not exist there", user: toMain + "  User nosuch\n", works: false, says: "the host refused"},
	{name: "AddressFamily inet6", user: toMain + "  AddressFamily inet6\n", works: false, says: "cannot reach"},
	{name: "BindAddress", user: toMain + "  BindAddress 127.0.0.7\n", works: true},
	{name: "BindInterface", user: toMain + "  BindInterface lo\n", works: true},
	{name: "ConnectTimeout 0", user: toMain + "  ConnectTimeout 0\n", works: true},
	{name: "ConnectTimeout with a unit", user: toMain + "  ConnectTimeout 1m\n", works: true},
	{name: "ConnectionAttempts", user: "Host azar03\n  HostName 127.0.0.1\n  Port 1\n  ConnectionAttempts 2\n", works: false, says: "connection refused"},

	// Jump hosts and commands.
	{name: "ProxyJump", user: bastion + toMain + "  ProxyJump bastion\n", works: true},
	{name: "ProxyJump with account and port", user: toMain + "  ProxyJump dco@127.0.0.1:$BASTION\n", works: true},
	{name: "ProxyJump as a URI", user: toMain + "  ProxyJump ssh://dco@127.0.0.1:$BASTION\n", works: true},
	{name: "ProxyJump over two", user: bastion + toMain + "  ProxyJump bastion,dco@127.0.0.1:$BASTION\n", works: true},
	{name: "ProxyJump before a later ProxyCommand", user: bastion + toMain + "  ProxyJump bastion\nHost azar03\n  ProxyCommand false\n", works: true},
	{name: "ProxyCommand before a later ProxyJump", user: toMain + "  ProxyCommand $FORWARD %h %p\nHost *\n  ProxyJump nosuch\n", works: true},
	{name: "ProxyJump none", user: toMain + "  ProxyJump none\nHost *\n  ProxyJump nosuch\n", works: true},
	{name: "ProxyJump to itself", host: "azar03.cp.lsst.org", user: "Host *\n  ProxyJump azar03.cp.lsst.org\n", works: false, says: "jumphost loop"},
	{name: "a jump host that is not known", user: bastion + toMain + "  ProxyJump bastion\n", known: "[127.0.0.1]:$MAIN $MAIN_ED25519\n", works: false, says: "jump host of"},
	{name: "ProxyCommand", user: toMain + "  ProxyCommand $FORWARD %h %p\n", works: true},
	{name: "ProxyCommand of the system for all (lsst-control)", system: rubin, user: toMain, known: noHost, files: map[string]string{"sss.sh": sssd}, works: true},
	{name: "the same with a jump host", system: rubin, user: bastion + toMain + "  ProxyJump bastion\n", known: noHost, files: map[string]string{"sss.sh": sssd}, works: true},
	{name: "the same for a host that the directory lacks", system: rubin, user: "Host azar03\n  HostName 127.0.0.1\n  Port $RSAHOST\n", known: noHost, files: map[string]string{"sss.sh": sssd}, works: false, says: "pubconf/known_hosts names [127.0.0.1]:$RSAHOST"},
	{name: "ProxyCommand with ssh -W", user: bastion + toMain + "  ProxyCommand ssh -W %h:%p bastion\n", works: true},
	{name: "ProxyCommand with a pipe of the shell", user: toMain + "  ProxyCommand sh -c 'exec $FORWARD \"%h\" \"%p\" 2>/dev/null'\n", works: true},
	{name: "ProxyCommand with tokens", user: toMain + "  ProxyCommand sh -c 'test %n:%r:%% = azar03:ada:%% && exec $FORWARD %h %p'\n", works: true},
	{name: "ProxyCommand that fails", user: toMain + "  ProxyCommand sh -c 'echo no ticket >&2; exit 3'\n", works: false, says: "no ticket"},
	{name: "ProxyCommand that wants the terminal", user: toMain + "  ProxyCommand sh -c 'read x </dev/tty; echo got $$x >&2; exit 1'\n", works: false, says: "/dev/tty"},
	{name: "ProxyUseFdpass", user: toMain + "  ProxyCommand $PASS %h %p\n  ProxyUseFdpass yes\n", works: true},
	{name: "ProxyUseFdpass that fails", user: toMain + "  ProxyCommand sh -c 'echo no route >&2; exit 1'\n  ProxyUseFdpass yes\n", works: false, says: "no route"},
	{name: "ProxyUseFdpass without a connection", user: toMain + "  ProxyCommand true\n  ProxyUseFdpass yes\n", works: false, says: "it passed no connection"},
	{name: "ProxyCommand none", user: toMain + "  ProxyCommand none\nHost *\n  ProxyCommand false\n", works: true},

	// Known hosts.
	{name: "an unknown host", user: toMain, known: noHost, works: false, says: "unknown"},
	{name: "another key", user: toMain, known: "[127.0.0.1]:$MAIN $OTHER\n", works: false, says: "may be an attack"},
	{name: "one bad line (git-bug#1485)", user: toMain, known: "nonsense\nazar04 ssh-ed25519 nonsense\n[127.0.0.1]:$MAIN $MAIN_ED25519\n", works: true, says: "is skipped"},
	{name: "a bad hash", user: toMain, known: "|1|x|y $OTHER\n[127.0.0.1]:$MAIN $MAIN_ED25519\n", works: true, says: "is skipped"},
	{name: "a bad line about the host and a good one", user: toMain, known: "[127.0.0.1]:$MAIN ssh-ed25519 nonsense\n[127.0.0.1]:$MAIN $MAIN_ED25519\n", works: true, says: "is skipped"},
	{name: "a line of another algorithm", user: toMain, known: "[127.0.0.1]:$MAIN ssh-future AAAA\n[127.0.0.1]:$MAIN $MAIN_ED25519\n", works: true},
	{name: "a key known without its port", user: toMain, known: "127.0.0.1 $MAIN_ED25519\n", works: true},
	{name: "another key known without its port", user: toMain, known: "127.0.0.1 $OTHER\n", works: false, says: "unknown"},
	{name: "only the second key is known", user: toMain, known: "[127.0.0.1]:$MAIN $MAIN_ECDSA\n", works: true},
	{name: "only the RSA key is known", user: "Host azar03\n  HostName 127.0.0.1\n  Port $RSAHOST\n", known: "[127.0.0.1]:$RSAHOST $HOST_RSA\n", works: true},
	{name: "a pattern", user: toMain, known: "[127.0.0.?]:*,!*:1 $MAIN_ED25519\n", works: true},
	{name: "a negated pattern of known hosts", user: toMain, known: "*,!*127.0.0.1* $MAIN_ED25519\n", works: false, says: "unknown"},
	{name: "a revoked key", user: toMain, known: "[127.0.0.1]:$MAIN $MAIN_ED25519\n@revoked * $MAIN_ED25519\n", works: false, says: "revoked"},
	{name: "HostKeyAlias", user: toMain + "  HostKeyAlias Azar03.cp\n", known: "azar03.cp $MAIN_ED25519\n", works: true},
	{name: "UserKnownHostsFile with tokens and a space", user: toMain + "  UserKnownHostsFile none\nHost *\n  GlobalKnownHostsFile \"~/known here\" /nosuch\n", files: map[string]string{"known here": "[127.0.0.1]:$MAIN $MAIN_ED25519\n"}, works: true},
	{name: "UserKnownHostsFile with a token", user: toMain + "  UserKnownHostsFile ~/known/%n\n", known: noHost, files: map[string]string{"known/azar03": "[127.0.0.1]:$MAIN $MAIN_ED25519\n"}, works: true},
	{name: "KnownHostsCommand (FreeIPA's sss_ssh_knownhosts)", system: "KnownHostsCommand $HOME/known.sh %H\n", user: toMain, known: noHost, files: map[string]string{"known.sh": "#!/bin/sh\necho \"$1 $MAIN_ED25519\"\n"}, works: true},
	{name: "KnownHostsCommand with tokens", user: toMain + "  KnownHostsCommand $HOME/known.sh \"%I of %H\" %t %f %K\n", known: noHost, files: map[string]string{"known.sh": "#!/bin/sh\ncase $1 in\n\"ORDER of \"*127.0.0.1*) test \"$2$3$4\" = NONENONENONE || exit 1;;\n\"HOSTNAME of [127.0.0.1]:$MAIN\") echo \"* $2 $4\";;\nesac\n"}, works: true},
	{name: "KnownHostsCommand that fails", user: toMain + "  KnownHostsCommand $HOME/known.sh\n", files: map[string]string{"known.sh": "#!/bin/sh\necho not enrolled >&2; exit 1\n"}, works: false, says: "not enrolled"},
	{name: "KnownHostsCommand that is absent", user: toMain + "  KnownHostsCommand $HOME/absent %H\n", works: true, says: "is not run"},
	{name: "StrictHostKeyChecking accept-new", user: toMain + "  StrictHostKeyChecking accept-new\n  HashKnownHosts no\n  UpdateHostKeys no\n", known: noHost, works: true, learns: true, says: "was not known"},
	{name: "the same, hashed", user: toMain + "  StrictHostKeyChecking accept-new\n  HashKnownHosts yes\n  UpdateHostKeys no\n", known: noHost, works: true, learns: true, says: "was not known"},
	{name: "accept-new and a file that cannot be written", user: toMain + "  StrictHostKeyChecking accept-new\n  UserKnownHostsFile /proc/known\n", works: true, says: "cannot be added"},
	{name: "accept-new and another key", user: toMain + "  StrictHostKeyChecking accept-new\n", known: "[127.0.0.1]:$MAIN $OTHER\n", works: false, says: "may be an attack"},
	{name: "StrictHostKeyChecking no and no file", user: toMain + "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n", known: noHost, works: true, says: "StrictHostKeyChecking"},
	{name: "StrictHostKeyChecking no and another key", user: toMain + "  StrictHostKeyChecking no\n", known: "[127.0.0.1]:$MAIN $OTHER\n", works: true, says: "contradict"},
	{name: "StrictHostKeyChecking yes", user: toMain + "  StrictHostKeyChecking yes\n", known: noHost, works: false, says: "unknown"},
	{name: "NoHostAuthenticationForLocalhost", user: toMain + "  NoHostAuthenticationForLocalhost yes\n", known: noHost, works: true},
	{name: "RevokedHostKeys", user: toMain + "  RevokedHostKeys ~/revoked\n", files: map[string]string{"revoked": "$MAIN_ED25519\n"}, works: false, says: "revokes it"},
	{name: "RevokedHostKeys of another host", user: toMain + "  RevokedHostKeys $DIR/keys/revoked.krl\n", works: true},
	{name: "RevokedHostKeys that is absent", user: toMain + "  RevokedHostKeys ~/absent\n", works: false, says: "RevokedHostKeys cannot be checked"},
	{name: "a host's certificate", user: certified, known: "@cert-authority [127.0.0.1]:$CERTIFIED $CA\n", works: true},
	{name: "a host's certificate by its alias", user: certified + "  HostKeyAlias azar03.cp.lsst.org\n", known: "@cert-authority *.cp.lsst.org $CA\n", works: true},
	{name: "a host's certificate with a pattern of names", user: certified + "  HostKeyAlias azar04.cp.lsst.org\n", known: "@cert-authority *.cp.lsst.org $CA\n", works: false, says: "its certificate"},
	{name: "a host's certificate for another name", user: certified + "  HostKeyAlias azar11.cp.lsst.org\n", known: "@cert-authority *.cp.lsst.org $CA\n", works: false, says: "its certificate"},
	{name: "a certified host whose plain key is known", user: certified, known: "[127.0.0.1]:$CERTIFIED $HOST\n", works: true},
	{name: "a certificate of a revoked authority", user: certified, known: "@cert-authority * $CA\n@revoked * $CA\n", works: false, says: "revoked"},
	{name: "CASignatureAlgorithms without the authority's", user: certified + "  CASignatureAlgorithms rsa-sha2-512\n", known: "@cert-authority * $CA\n", works: false, says: "CASignatureAlgorithms"},

	// Algorithms.
	{name: "an old host key", user: oldKey, known: knownOld, works: false, says: "no common algorithm"},
	{name: "HostKeyAlgorithms +ssh-rsa", user: oldKey + "  HostKeyAlgorithms +ssh-rsa\n", known: knownOld, works: true},
	{name: "HostKeyAlgorithms in another order", user: toMain + "  HostKeyAlgorithms ^ecdsa-sha2-nistp256\n", known: "[127.0.0.1]:$MAIN $MAIN_ECDSA\n", works: true},
	{name: "HostKeyAlgorithms without those of the host", user: toMain + "  HostKeyAlgorithms rsa-sha2-512\n", works: false, says: "no common algorithm"},
	{name: "old KexAlgorithms, Ciphers and MACs", user: "Host azar03\n  HostName 127.0.0.1\n  Port $OLDKEX\n", known: "[127.0.0.1]:$OLDKEX $OLDKEX_ED25519\n", works: false, says: "no common algorithm"},
	{name: "the same, allowed", user: "Host azar03\n  HostName 127.0.0.1\n  Port $OLDKEX\n  KexAlgorithms +diffie-hellman-group14-sha1\n  Ciphers +aes128-cbc\n  MACs +hmac-sha1\n", known: "[127.0.0.1]:$OLDKEX $OLDKEX_ED25519\n", works: true},
	{name: "one cipher", user: toMain + "  Ciphers aes256-gcm@openssh.com\n", works: true},
	{name: "PubkeyAcceptedAlgorithms without the key's", user: toMain + "  PubkeyAcceptedAlgorithms rsa-sha2-512\n", works: false, says: "PubkeyAcceptedAlgorithms"},
	{name: "an RSA key where the server wants ssh-rsa", user: "Host azar03\n  HostName 127.0.0.1\n  Port $OLDSIGN\n  IdentityFile ~/.ssh/rsa\n  PubkeyAcceptedAlgorithms ssh-rsa\n", files: map[string]string{".ssh/rsa": "=rsa"}, known: "[127.0.0.1]:$OLDSIGN $OLDSIGN_ED25519\n", works: true},
	{name: "the same, not allowed", user: "Host azar03\n  HostName 127.0.0.1\n  Port $OLDSIGN\n  IdentityFile ~/.ssh/rsa\n", files: map[string]string{".ssh/rsa": "=rsa"}, known: "[127.0.0.1]:$OLDSIGN $OLDSIGN_ED25519\n", works: false},

	// Keys, agents, certificates.
	{name: "a default RSA key", user: toMain, files: map[string]string{".ssh/id_ed25519": "", ".ssh/id_rsa": "=rsa"}, works: true},
	{name: "IdentityFile with tokens", user: toMain + "  IdentityFile ~/.ssh/%n_%r_%p\n", files: map[string]string{".ssh/id_ed25519": ""}, works: false, says: "azar03_ada_$MAIN"},
	{name: "IdentityFile with a token", user: toMain + "  IdentityFile %d/.ssh/%n\n", files: map[string]string{".ssh/id_ed25519": "", ".ssh/azar03": "=id"}, works: true},
	{name: "IdentityFile with an environment variable", user: toMain + "  IdentityFile ${_KEYS}/id\n", env: map[string]string{"KEYS": "$DIR/keys"}, files: map[string]string{".ssh/id_ed25519": ""}, works: true},
	{name: "IdentityFile with an unset variable", user: toMain + "  IdentityFile ${_NO_SUCH}/id\n", works: false, says: "NO_SUCH"},
	{name: "the home directory of a named account", user: toMain + "  IdentityFile ~ada/.ssh/here\n", files: map[string]string{".ssh/id_ed25519": "", ".ssh/here": "=id"}, works: true},
	{name: "the home directory of the account, not $HOME", user: toMain, env: map[string]string{"HOME": "$DIR"}, works: true},
	{name: "IdentityFile none", user: toMain + "  IdentityFile none\n", works: false, says: "no key to offer"},
	{name: "a key that others may read", user: toMain + "  IdentityFile ~/open\n", files: map[string]string{".ssh/id_ed25519": "", "open": "=id"}, works: false, says: "chmod 600"},
	{name: "a configuration that others may write", user: "Include open\n" + toMain, files: map[string]string{".ssh/open": "Host *\n"}, works: false, says: "Bad owner or permissions"},
	{name: "an encrypted key", user: toMain + "  IdentityFile ~/.ssh/locked\n", files: map[string]string{".ssh/id_ed25519": "", ".ssh/locked": "=locked"}, works: false, says: "ssh-add"},
	{name: "no key at all", user: toMain, files: map[string]string{".ssh/id_ed25519": ""}, works: false, says: "no key to offer"},
	{name: "the agent's key", user: toMain, files: map[string]string{".ssh/id_ed25519": ""}, agent: []string{"id"}, works: true},
	{name: "the agent's key by its public half", user: "Host azar03\n  HostName 127.0.0.1\n  Port $FEWTRIES\n  IdentityFile ~/.ssh/me.pub\n  IdentitiesOnly yes\n", known: "[127.0.0.1]:$FEWTRIES $FEWTRIES_ED25519\n", files: map[string]string{".ssh/id_ed25519": "", ".ssh/me.pub": "$ID\n"}, agent: []string{"other", "host", "ca", "id"}, works: true},
	{name: "too many keys in the agent", user: "Host azar03\n  HostName 127.0.0.1\n  Port $FEWTRIES\n", known: "[127.0.0.1]:$FEWTRIES $FEWTRIES_ED25519\n", agent: []string{"other", "host", "ca"}, works: false, says: "the host refused"},
	{name: "IdentitiesOnly without the agent's", user: toMain + "  IdentitiesOnly yes\n", files: map[string]string{".ssh/id_ed25519": ""}, agent: []string{"id"}, works: false, says: "no key to offer"},
	{name: "IdentityAgent", user: toMain + "  IdentityAgent ${_AGENT}\n", files: map[string]string{".ssh/id_ed25519": ""}, agent: []string{"id"}, env: map[string]string{"SSH_AUTH_SOCK": ""}, works: true},
	{name: "IdentityAgent by a variable", user: toMain + "  IdentityAgent $$AGENT\n", files: map[string]string{".ssh/id_ed25519": ""}, agent: []string{"id"}, env: map[string]string{"SSH_AUTH_SOCK": ""}, works: true},
	{name: "IdentityAgent none", user: toMain + "  IdentityAgent none\n", files: map[string]string{".ssh/id_ed25519": ""}, agent: []string{"id"}, works: false, says: "no key to offer"},
	{name: "a certificate beside the key", user: userCA + "  IdentityFile ~/.ssh/me\n", known: knownCA, files: map[string]string{".ssh/me": "=certified", ".ssh/me-cert.pub": "=certified-cert.pub"}, works: true},
	{name: "a certificate beside a default key", user: userCA, known: knownCA, files: map[string]string{".ssh/id_ed25519": "=certified", ".ssh/id_ed25519-cert.pub": "=certified-cert.pub"}, works: true},
	{name: "CertificateFile", user: userCA + "  IdentityFile ~/.ssh/me\n  CertificateFile ~/certs/%r\n", known: knownCA, files: map[string]string{".ssh/me": "=certified", "certs/ada": "=certified-cert.pub"}, works: true},
	{name: "the key without its certificate", user: userCA + "  IdentityFile ~/.ssh/me\n", known: knownCA, files: map[string]string{".ssh/me": "=certified"}, works: false, says: "the host refused"},
	{name: "a certificate for another account", user: userCA + "  User dco\n  IdentityFile ~/.ssh/me\n", known: knownCA, files: map[string]string{".ssh/me": "=certified", ".ssh/me-cert.pub": "=certified-cert.pub"}, works: false, says: "the host refused"},
	{name: "the agent's certificate", user: userCA, known: knownCA, agent: []string{"certified"}, works: true},
	{name: "the agent's certificate with IdentitiesOnly (opkssh#224)", user: userCA + "  IdentityFile ~/.ssh/me\n  IdentitiesOnly yes\n", known: knownCA, files: map[string]string{".ssh/me.pub": "$CERTIFIED_KEY\n", ".ssh/me-cert.pub": "=certified-cert.pub"}, agent: []string{"certified"}, works: true},
	{name: "CertificateFile for a key of the agent", user: userCA + "  CertificateFile ~/cert.pub\n", known: knownCA, files: map[string]string{"cert.pub": "=certified-cert.pub"}, agent: []string{"certified"}, works: true},
	{name: "two keys are needed", user: "Host azar03\n  HostName 127.0.0.1\n  Port $TWOKEYS\n  IdentityFile ~/.ssh/id_ed25519\n  IdentityFile ~/.ssh/rsa\n", known: "[127.0.0.1]:$TWOKEYS $TWOKEYS_ED25519\n", files: map[string]string{".ssh/rsa": "=rsa"}, works: true},
	{name: "PubkeyAuthentication no", user: toMain + "  PubkeyAuthentication no\n", works: false, says: "publickey authentication off"},
	{name: "PreferredAuthentications without keys", user: toMain + "  PreferredAuthentications password\n", works: false, says: "publickey authentication off"},
	{name: "RequiredRSASize", user: toMain + "  IdentityFile ~/.ssh/rsa\n  RequiredRSASize 8192\n", files: map[string]string{".ssh/rsa": "=rsa"}, works: false, says: "RequiredRSASize"},

	// What csu does not support is named.
	{name: "GSSAPIAuthentication", user: toMain + "  GSSAPIAuthentication yes\n", works: true},
	{name: "HostbasedAuthentication", user: toMain + "  HostbasedAuthentication yes\n", works: true},
	{name: "PKCS11Provider", user: toMain + "  PKCS11Provider /nosuch/opensc.so\n", works: true},
	{name: "PKCS11Provider alone", user: toMain + "  PKCS11Provider /nosuch/opensc.so\n", files: map[string]string{".ssh/id_ed25519": ""}, works: false, says: "ssh-add -s /nosuch/opensc.so"},
}
