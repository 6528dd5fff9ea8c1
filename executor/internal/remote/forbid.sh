# Takes $name where nothing was started under it, so that nothing will be: a
# start that is still on its way finds the name taken, and does nothing.
if [ -n "${HOME:-}" ] && mkdir -p "$HOME/.csu" 2>/dev/null && mkdir "$HOME/.csu/$name" 2>/dev/null; then
	cat /proc/sys/kernel/random/boot_id >"$HOME/.csu/$name/boot"
	echo none >"$HOME/.csu/$name/pid"
fi
