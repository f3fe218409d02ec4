#!/usr/bin/perl
# The demo runs, finds what it should, leaves a page that stands alone and no
# server behind.  The server has a name of its own, so that the database which
# make demo left is not touched.
use strict;
use warnings;
use JSON::PP qw(decode_json);
use Test::More;

my $name = 'demo-test';
my $out = 'build/demo-test';
$ENV{DEMO_NAME} = $name;
$ENV{DEMO_OUT} = $out;

sub slurp
{
	my ($path) = @_;
	open my $f, '<:encoding(UTF-8)', $path or return '';
	local $/;
	return <$f>;
}

my $log = qx(demo/run 2>&1);
is($?, 0, 'demo/run succeeds') or diag($log);
like($log, qr/^\d{3} pictures in \d+ ms$/m, 'all pictures are embedded');
like($log, qr/^80 recipes loaded and embedded$/m, 'so are the recipes');
like($log, qr/SELECT caption, round.*?\n A violin\./s, 'a sentence finds pictures, after its statement');
like($log, qr/pineapple +\| Pineapple Upside-Down Cake/, 'a food photo finds a recipe');
like($log, qr/guitar_classical \| guitar +\| +[01]\.\d+/, 'a picture gets a tag');
like($log, qr/A Sumatran tiger\. +\| +0\.\d+/, 'a tiger is like a tiger');
like($log, qr/\n A garbage truck\./, 'arithmetic finds the garbage truck');
like($log, qr/Broccoli Omelette +\| +384/, 'a generated column embeds');
like($log, qr/Sort Key: .*clip_embed/, 'a plan is shown');
like($log, qr/Index Scan using pair_e_idx on pair/, 'a large table is searched by its index');
my ($recall) = $log =~ /^ *calibrated \| +0\.95 \| +([01]\.\d+) \|/m;
cmp_ok($recall || 0, '>=', 0.9, 'which finds what it promises, calibrated');

my $page = slurp("$out/index.html");
my $pictures = () = $page =~ /<img alt="[^"]+" src="data:image\/jpeg;base64,[^"]{500,}">/g;
cmp_ok($pictures, '>=', 100, 'the page holds its pictures');
unlike($page, qr/(?:src|href)="(?!data:|#)|url\(|\@import/, 'and loads nothing from elsewhere');
unlike($page, qr/\$(?:body|figures)/, 'and is filled in');
my %anchor = map { $_ => 1 } $page =~ /\bid="([^"]+)"/g;
is_deeply([ grep { !$anchor{$_} } $page =~ /href="#([^"]+)"/g ], [], 'links within it lead somewhere');
like($page, qr/<td>calibrated, with captions<\/td><td>0\.95<\/td><td>\Q$recall\E</, 'it shows the recall that was measured');

# What a person sees, on a desk and on a phone.
SKIP: {
	skip 'no Chromium', 8 if system('command -v chromium >/dev/null') != 0;
	for my $size ([ 1280, 900 ], [ 390, 800 ]) {
		my $seen = qx(tests/demo/page.py $out/index.html @$size);
		is($?, 0, "the page opens in a browser, @$size") or next;
		$seen = decode_json($seen);
		is($seen->{pictures} - @{ $seen->{blank} }, $pictures, 'every picture decodes and shows something');
		is_deeply([ @$seen{qw(outside cut)} ], [ [], [] ], 'nothing is asked for outside of it, no text is cut off');
		cmp_ok($seen->{overflow}, '<=', 0, 'and it is no wider than the window');
	}
}

my $rows = qx(demo/psql -XAtc "SELECT count(*), count(e) FROM picture");
like($rows, qr/^(\d{3})\|\1$/, 'demo/psql reaches the database');
my $loaded = qx(demo/load --table mine tests/data);
is($?, 0, 'demo/load loads a folder') or diag($loaded);
$rows = qx(demo/psql -XAtqc "SELECT count(e) > 5 FROM mine");
is($rows, "t\n", 'into a table of its own');
my $run = qx(scripts/pg rundir);
chomp $run;
ok(!-e "$run/$name/data/postmaster.pid", 'no server is left running');

$log = qx(demo/run 2>&1);
is($?, 0, 'demo/run succeeds again') or diag($log);
like($log, qr/^\d{3} pictures in \d+ ms$/m, 'and embeds again');
like($log, qr/file:\/\/\S+\/index\.html/, 'and says where the page is');

system('scripts/pg', 'drop', $name);
done_testing();
