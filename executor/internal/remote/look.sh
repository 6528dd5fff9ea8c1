# Prints what is known about $name: the boot id and that of the start, the
# state, then the end of the output. If $fence is set, a start that has not
# reached its script never will. Needs alive.sh before it.
boot=$(cat /proc/sys/kernel/random/boot_id) || exit
d=$HOME/.csu/$name
if [ ! -d "$d" ]; then
	echo "$boot"
	echo unknown
	exit 0
fi
# The same claim that run makes; the second one to make it does nothing.
[ -n "$fence" ] && (set -C && echo none >"$d/pid") 2>/dev/null
claim=
[ -f "$d/pid" ] && read -r claim rest <"$d/pid"
was=
[ -f "$d/boot" ] && read -r was <"$d/boot"
echo "$boot $was"
same=yes
[ -n "$was" ] && [ "$was" != "$boot" ] && same=
# Check alive before the status file, which a process writes before it ends.
if [ -n "$same" ] && { alive "$d/pid" || alive "$d/child"; }; then
	state=running
elif [ "$claim" = none ]; then
	state=never
elif [ -e "$d/pid" ] && [ -n "$claim" ]; then
	state=gone
elif [ -n "$same" ]; then
	state=starting
elif [ -e "$d/pid" ]; then
	state=gone
else
	state=never
fi
if [ -f "$d/status" ]; then
	read -r status <"$d/status"
	state="exited $status"
fi
echo "$state"
[ -f "$d/out" ] && tail -c 4096 "$d/out"
exit 0
