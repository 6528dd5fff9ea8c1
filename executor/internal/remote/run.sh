# Runs the script beside it and leaves its exit status. start.sh detaches it.
# alive.sh stands before it.
d=${0%/run}
# A process id alone may have been given to another process since; with the
# start time (the 22nd field of stat) it is the same process.
identity() {
	stat=$(cat "/proc/$$/stat") || return
	set -- ${stat##*) }
	echo "$$ ${20}"
}
if [ "${1-}" = script ]; then
	# Recorded too, since it may outlive this wrapper. Where the wrapper was killed
	# before this, a look has found neither alive and told that the script is gone.
	identity >"$d/child" && alive "$d/pid" && exec /bin/sh "$d/script"
	echo 'the script was not run: its wrapper was not found alive'
	exit 126
fi
# Claims the right to run the script: the file is created by one only.
(set -C && identity >"$d/pid") || exit
exec >>"$d/out" 2>&1
/bin/sh "$d/run" script
echo "$?" >"$d/status.new" && mv "$d/status.new" "$d/status"
