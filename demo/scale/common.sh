# Shared by demo/scale/fdw and demo/scale/citus.  Source it from the repository
# root, after setting first, the server that has the data and takes the queries,
# and shards, the others.

servers="$first $shards"

step()
{
	printf '\n== %s  (%d s)\n' "$1" "$SECONDS"
}

# on SERVER: psql there, strict and quiet
on()
{
	local server=$1
	shift
	scripts/pg psql "$server" -X -q -v ON_ERROR_STOP=1 "$@"
}

# show_on SERVER: run what comes, and print it before
show_on()
{
	local sql
	sql=$(cat)
	printf -- '-- on %s\n%s\n' "$1" "$sql"
	on "$1" -c "$sql"
}

# Vectors of statements and plans made short; the wide heads of plans go.
short()
{
	sed -E -e 's/\[[-+0-9.e,]{30,}\]/[...]/g' -e '/^[ -]*( QUERY PLAN *)?$/d'
}

socket_of()
{
	cat "$(scripts/pg rundir)/$1/socket-dir"
}

drop_servers()
{
	local server
	for server in $servers; do
		scripts/pg drop "$server"
	done
}

# The server dies as in a power cut: no shutdown, no goodbye to its clients.
kill_server()
{
	scripts/pg run "$1" pg_ctl -D data -m immediate stop >/dev/null
}

# Pictures and queries on the first server, embedded there, and the single table
# that answers are compared with.
load_single()
{
	local sessions
	sessions=$(nproc)
	[ "$sessions" -le 8 ] || sessions=8
	demo/stamps fetch
	on "$first" -c "SET client_min_messages = warning" -c "CREATE EXTENSION IF NOT EXISTS mmodal"
	cat demo/sql/picture.sql demo/scale/single.sql | on "$first"
	demo/stamps copy | on "$first" -c "COPY picture (name, topic, caption, photo) FROM STDIN"
	demo/embed "$sessions" scripts/pg psql "$first" -X
	on "$first" -v queries="${SCALE_QUERIES:-100}" <demo/scale/single_fill.sql
	on "$first" <demo/scale/answers.sql
	on "$first" -At -c "SELECT count(*) || ' rows of 384 dimensions, half; ' ||
		(SELECT count(*) FROM query) || ' queries' FROM single"
}
