# alive FILE reports whether the process recorded in FILE (see identity) is alive.
alive() {
	pid= begun=
	[ -f "$1" ] && read -r pid begun <"$1"
	case $pid in
	'' | *[!0-9]*) return 1 ;;
	esac
	kill -0 "$pid" 2>/dev/null || return 1
	stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
	set -- ${stat##*) }
	[ "$1" != Z ] && [ "${20}" = "$begun" ]
}
