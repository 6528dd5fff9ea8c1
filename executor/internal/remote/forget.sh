# Removes what is left of $name. The last line of the output is the verdict.
exec 2>&1
d=$HOME/.csu/$name
if rm -rf "$d"; then
	echo forgotten
else
	echo failed
fi
