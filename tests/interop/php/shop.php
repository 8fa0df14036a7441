<?php
// A shop as people write it, on PHP's native sessions. Where they are kept is php.ini's business.
//   SERVER=NAME php -c FILE -S 127.0.0.1:PORT shop.php

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: application/json');
if ($path === '/healthz') {
    exit('{}');
}
if (!session_start()) {
    http_response_code(503);
    exit('{"error": "no session"}');
}
switch ($path) {
    case '/login':
        session_regenerate_id(true);
        $_SESSION['user'] = $_GET['user'];
        break;
    case '/add':
        $_SESSION['cart'] = ($_SESSION['cart'] ?? 0) + 1;
        break;
    case '/logout':
        $_SESSION = [];
        session_destroy();
        break;
}
echo json_encode([
    'server' => getenv('SERVER'),
    'user' => $_SESSION['user'] ?? null,
    'cart' => $_SESSION['cart'] ?? 0,
]);
