# Starts $script detached under $name, never twice. The last line of the output
# is the result: started, exists, or failed. The reason is printed before it.
exec 2>&1
fail() {
	echo failed
	exit 0
}
mask=$(umask)
umask 077
if [ -z "${HOME:-}" ]; then
	echo 'HOME is not set'
	fail
fi
d=$HOME/.csu/$name
cd "$HOME" && mkdir -p "$HOME/.csu" || fail
if ! why=$(mkdir "$d" 2>&1); then
	if [ -d "$d" ]; then
		echo exists
		exit 0
	fi
	echo "$why"
	fail
fi
cat /proc/sys/kernel/random/boot_id >"$d/boot" &&
	printf '%s\n' "$script" >"$d/script" &&
	printf '%s\n' "$run" >"$d/run" &&
	: >"$d/out" || {
	rm -rf "$d"
	fail
}
umask "$mask"
detach=
if command -v setsid >/dev/null 2>&1; then
	detach=setsid
else
	trap '' HUP
fi
# This ends when no process holds the pipe: when run has claimed the pid file
# and redirected its output, or has died before that.
why=$($detach /bin/sh "$d/run" </dev/null 2>&1 &)
pid=
[ -f "$d/pid" ] && read -r pid rest <"$d/pid"
case $pid in
'')
	# Without the pid file, run does not reach the script.
	rm -rf "$d"
	echo "$why"
	fail
	;;
none)
	echo 'the start took too long and was abandoned by a look at it'
	fail
	;;
esac
echo started
