# Runs the script beside it and writes its exit status. start.sh detaches it.
# Needs alive.sh before it.
d=${0%/run}
# A process id may have been reused. Together with the start time (the 22nd
# field of stat) it identifies the process.
identity() {
	stat=$(cat "/proc/$$/stat") || return
	set -- ${stat##*) }
	echo "$$ ${20}"
}
if [ "${1-}" = script ]; then
	# The script may outlive this wrapper, so its process is recorded too. If the
	# wrapper was killed before this, a look may have reported the script gone.
	# So the script must not begin.
	identity >"$d/child" && alive "$d/pid" && exec /bin/sh "$d/script"
	echo 'the script was not run: its wrapper is not running'
	exit 126
fi
# Claim the right to run the script: only one process can create the file.
(set -C && identity >"$d/pid") || exit
exec >>"$d/out" 2>&1
/bin/sh "$d/run" script
echo "$?" >"$d/status.new" && mv "$d/status.new" "$d/status"
