# Two machines: a root that is declared, and a home that joins and serves a declared process under a domain.
module: {
  name = "p2prc-fleet";

  nodes.root =
    { config, ... }:
    {
      imports = [ module ];
      services.p2prc = {
        enable = true;
        fleet = {
          name = "root";
          domain = "home.example";
          publicAddresses = [ config.networking.primaryIPAddress ];
        };
      };
    };

  nodes.home =
    { lib, pkgs, ... }:
    {
      imports = [ module ];
      services.p2prc = {
        enable = true;
        settings.remote.spin = "no";
        fleet = {
          name = "home";
          joinTokenFile = "/run/p2prc-token";
        };
        processes.web = {
          port = 8000;
          domain = "web.home.example";
          run.command = [
            (lib.getExe pkgs.python3)
            "-m"
            "http.server"
            "8000"
            "--bind"
            "127.0.0.1"
          ];
        };
      };
    };

  testScript =
    { nodes, ... }:
    ''
      address = "${nodes.root.networking.primaryIPAddress}"
      start_all()
      root.wait_for_unit("p2prc-edge.service")
      root.wait_for_open_port(443)
      token = root.succeed("p2prc invite").strip()
      home.wait_for_unit("p2prcd.service")
      home.succeed(f"install -m 600 /dev/stdin /run/p2prc-token <<<'{token}'")
      home.succeed("systemctl restart p2prcd-fleet.service")
      home.wait_for_unit("p2prc-connector.service")
      home.wait_until_succeeds("p2prc -o json info web | grep -q running")
      fetch = f"curl -sk --fail --resolve web.home.example:443:{address} https://web.home.example/"
      root.wait_until_succeeds(fetch)

      # Roles and processes are there again after a boot; the token is used up by now.
      home.shutdown()
      home.start()
      home.wait_for_unit("p2prc-connector.service")
      root.wait_until_succeeds(fetch)
    '';
}
