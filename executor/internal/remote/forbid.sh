# Takes $name if it is unused. A start that is still on its way then finds the
# name taken and does nothing.
if [ -n "${HOME:-}" ] && mkdir -p "$HOME/.csu" 2>/dev/null && mkdir "$HOME/.csu/$name" 2>/dev/null; then
	cat /proc/sys/kernel/random/boot_id >"$HOME/.csu/$name/boot"
	echo none >"$HOME/.csu/$name/pid"
fi
